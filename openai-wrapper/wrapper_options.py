"""The wrapper's command-line options, and the settings that they make. Knows click; each has a row in
docs/configuration.md."""

import functools
import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from sandle.options import Seconds, server_options
from sandle.server import ServerOptions
from wrapper_pools import Bounds

FILE = click.Path(exists=True, dir_okay=False, path_type=pathlib.Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=pathlib.Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=pathlib.Path)
SECONDS = Seconds(0.1)
RESERVED_SHARE = 8  # one thread in so many is kept for what does not wait for a backend: /health, /v1/models, refusals
WAITING_SHARE = 4  # one thread in so many may hold a request that waits


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options say: a field for each, by its name."""

    backend_hf: str | None
    backend_llama: str | None
    backend_ct2: str | None
    backend_stub: str | None
    backend_url: tuple[str, ...]
    auth_token: tuple[str, ...]
    auth_token_file: pathlib.Path | None
    keys_reload_s: float
    auth_token_is_user: bool
    single_model: tuple[str, ...]
    embedding_model: tuple[str, ...]
    state_dir: pathlib.Path | None
    connect_timeout_s: float
    first_byte_timeout_s: float
    idle_timeout_s: float
    max_running: int
    max_queue: int | None
    max_wait_s: float
    pass_field: tuple[str, ...]
    compat: bool
    cors_origin: tuple[str, ...]
    page_dir: pathlib.Path | None
    docs_dir: pathlib.Path | None
    threads: int
    log_level: str
    log_format: str
    serving: ServerOptions

    @property
    def bounds(self) -> Bounds:
        """The bounds of the queue. Raises ClickException for those that leave no room to run."""
        max_open = self.threads - self.threads // RESERVED_SHARE
        max_waiting = self.threads // WAITING_SHARE if self.max_queue is None else self.max_queue
        if max_waiting >= max_open:
            raise click.ClickException(f'--max-queue {max_waiting} leaves none of --threads {self.threads} to run on.')
        return Bounds(self.max_running, max_waiting, max_open, self.max_wait_s)

    @property
    def allowed_models(self) -> frozenset[str] | None:
        """The only models to serve, None for all."""
        return frozenset({*self.single_model, *self.embedding_model}) if self.single_model else None

    @property
    def backend_urls(self) -> list[str]:
        """The URLs of all backends, as they were given."""
        named = self.backend_hf, self.backend_llama, self.backend_ct2, self.backend_stub
        return [url for url in (*named, *self.backend_url) if url]


BACKENDS = [
    click.option('--backend-hf', metavar='URL', help='URL of backend-hf.'),
    click.option('--backend-llama', metavar='URL', help='URL of backend-llama.'),
    click.option('--backend-ct2', metavar='URL', help='URL of backend-ct2.'),
    click.option('--backend-stub', metavar='URL', help='URL of backend-stub.'),
    click.option('--backend', 'backend_url', metavar='URL', multiple=True,
                 help='URL of any OpenAI-style server; may be repeated. (SANDLE_BACKEND_URL)'),
    click.option('-m', '--single-model', '--allow-model', metavar='MODEL', multiple=True,
                 help='Serve this model only; may be repeated. The default is every model of every backend.'),
    click.option('--embedding-model', metavar='MODEL', multiple=True,
                 help='Serve this model beside those of --single-model; may be repeated.'),
    click.option('--connect-timeout-s', type=SECONDS, default=5.0, help='Seconds to connect to a backend.'),
    click.option('--first-byte-timeout-s', type=SECONDS, default=600.0,
                 help='Seconds until a backend begins to answer.'),
    click.option('--idle-timeout-s', type=SECONDS, default=120.0, help='Seconds of silence within an answer.'),
]
KEYS = [
    click.option('-t', '--auth-token', metavar='KEY', multiple=True,
                 help='An API key to accept; may be repeated. With no key here or in the file, one is generated.'),
    click.option('-f', '--auth-token-file', type=FILE,
                 help='File of API keys to accept as well: a line each, a key or a name and a key, # for comments.'),
    click.option('--keys-reload-s', type=SECONDS, default=2.0,
                 help='Seconds within which a changed key file or key store is in force.'),
    click.option('-u', '--auth-token-is-user', is_flag=True,
                 help="Send the name of the client's key (never the key) to the backend as the request's user."),
    click.option('--state-dir', type=NEW_FOLDER,
                 help='Folder for what outlives the process: the generated key and the key store.'),
]
REQUESTS = [
    click.option('--max-running', type=click.IntRange(1), default=512,
                 help='Requests at once to one backend (each replica of it); more wait for their turn.'),
    click.option('--max-queue', type=click.IntRange(0), default=None, show_default='a quarter of --threads',
                 help='Requests that wait, all together; beyond them the key with the most waiting gets 503s.'),
    click.option('--max-wait-s', type=SECONDS, default=60.0,
                 help='Seconds that a request waits for its turn, or for a backend that is loading or lost.'),
    click.option('--pass-field', metavar='NAME', multiple=True,
                 help="A request field beyond the API's to pass on to backends; may be repeated."),
    click.option('--compat', is_flag=True,
                 help="Also serve the addresses of old clients: OpenAI's without /v1, and llm-api's /generate."),
    click.option('--threads', type=click.IntRange(8), default=1024,
                 help='Requests open at once, running and waiting; one in eight is kept free for short ones.'),
]
PAGE = [
    click.option('--cors-origin', metavar='ORIGIN', multiple=True,
                 help='An origin whose pages may use the API, * for any; may be repeated. The default is none.'),
    click.option('--page-dir', type=FOLDER, help='Folder of the built web page, to serve it without nginx.'),
    click.option('--docs-dir', type=FOLDER, help='Folder of the built documentation, to serve it at /docs/.'),
]


def with_settings(function: Callable[[click.Context, Settings], None]) -> Callable[..., None]:
    """Gives a command all options, and calls it with what they say."""

    @functools.wraps(function)
    def command(**values: Any) -> None:
        function(click.get_current_context(), Settings(**values))

    decorated: Callable[..., None] = server_options(command)
    for option in reversed([*BACKENDS, *KEYS, *REQUESTS, *PAGE]):
        decorated = option(decorated)
    return decorated
