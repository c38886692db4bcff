"""Serves OpenAI's API in front of Sandle's backends, or of any OpenAI-style servers: keys, routing, pass-through."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import click

import wrapper_admin
import wrapper_app
import wrapper_page
from sandle import log
from sandle.app import Lifecycle
from sandle.options import CONTEXT_SETTINGS, Seconds, server_options
from sandle.server import ServerOptions, serve
from wrapper_backend import Backend, parse_url
from wrapper_counter import Counter
from wrapper_exchange import Watcher
from wrapper_forward import Forwarder, Timeouts
from wrapper_limits import Limiter
from wrapper_registry import Registry
from wrapper_usage import UsageBook

RESERVED_SHARE = 8  # one thread in so many is kept for what does not wait for a backend: /health, /v1/models, refusals
WAITING_SHARE = 4  # one thread in so many may hold a request that waits for its key's turn
FOLDER = click.Path(exists=True, file_okay=False, path_type=pathlib.Path)
SECONDS = Seconds(0.1)


@click.group(context_settings=CONTEXT_SETTINGS, invoke_without_command=True)
@click.option('--backend-hf', metavar='URL', help='URL of backend-hf.')
@click.option('--backend-llama', metavar='URL', help='URL of backend-llama.')
@click.option('--backend-stub', metavar='URL', help='URL of backend-stub.')
@click.option('--backend', 'backend_url', metavar='URL', multiple=True,
              help='URL of any OpenAI-style server; may be repeated. (SANDLE_BACKEND_URL)')
@click.option('-t', '--auth-token', metavar='KEY', multiple=True,
              help='An API key to accept; may be repeated. With no key here or in the file, one is generated.')
@click.option('-f', '--auth-token-file', type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
              help='File of API keys to accept as well: a line each, a key or a name and a key, # for comments.')
@click.option('--keys-reload-s', type=SECONDS, default=2.0,
              help='Seconds within which a changed key file or key store is in force.')
@click.option('-u', '--auth-token-is-user', is_flag=True,
              help="Send the name of the client's key (never the key) to the backend as the request's user.")
@click.option('-m', '--single-model', '--allow-model', metavar='MODEL', multiple=True,
              help='Serve this model only; may be repeated. The default is every model of every backend.')
@click.option('--state-dir', type=click.Path(file_okay=False, path_type=pathlib.Path),
              help='Folder for what outlives the process: the generated key and the key store.')
@click.option('--connect-timeout-s', type=SECONDS, default=5.0, help='Seconds to connect to a backend.')
@click.option('--first-byte-timeout-s', type=SECONDS, default=600.0, help='Seconds until a backend begins to answer.')
@click.option('--idle-timeout-s', type=SECONDS, default=120.0, help='Seconds of silence within an answer.')
@click.option('--max-wait-s', type=SECONDS, default=60.0,
              help='Seconds that a request waits while its key has as many running as it may have; then a 429.')
@click.option('--pass-field', metavar='NAME', multiple=True,
              help="A request field beyond the API's to pass on to backends; may be repeated.")
@click.option('--cors-origin', metavar='ORIGIN', multiple=True,
              help='An origin whose pages may use the API, * for any; may be repeated. The default is none.')
@click.option('--page-dir', type=FOLDER, help='Folder of the built web page, to serve it without nginx.')
@click.option('--docs-dir', type=FOLDER, help='Folder of the built documentation, to serve it at /docs/.')
@click.option('--threads', type=click.IntRange(8), default=640,
              help='Requests at once; one in eight is kept free for short ones, and more get a 503.')
@server_options
@click.pass_context
def main(context: click.Context, backend_hf: str | None, backend_llama: str | None, backend_stub: str | None,
         backend_url: tuple[str, ...], auth_token: tuple[str, ...], auth_token_file: pathlib.Path | None,
         keys_reload_s: float, auth_token_is_user: bool, single_model: tuple[str, ...], state_dir: pathlib.Path | None,
         connect_timeout_s: float, first_byte_timeout_s: float, idle_timeout_s: float, max_wait_s: float,
         pass_field: tuple[str, ...], cors_origin: tuple[str, ...], page_dir: pathlib.Path | None,
         docs_dir: pathlib.Path | None, threads: int,
         host: str, port: int, log_level: str, max_body_bytes: int, drain_timeout_s: float) -> None:
    """Serve OpenAI's API in front of backends: API keys, routing by model, and answers passed on as they come."""
    if context.invoked_subcommand is not None:
        return
    log.configure(log_level)
    urls = [url for url in (backend_hf, backend_llama, backend_stub, *backend_url) if url]
    if not urls:
        raise click.ClickException('No backend: give --backend-hf, --backend-llama, --backend-stub or --backend.')
    try:
        backends = [Backend(parse_url(url), connect_timeout_s) for url in urls]
    except ValueError as error:
        raise click.ClickException(f'Bad backend: {error}.') from None
    keys = wrapper_admin.open_keys(auth_token, auth_token_file, state_dir)
    watcher = Watcher()
    registry = Registry(backends, watcher, frozenset(single_model) or None)
    forwarder = Forwarder(watcher, Timeouts(first_byte_timeout_s, idle_timeout_s),
                          threads - threads // RESERVED_SHARE, registry.poll_soon)
    pages = {} if page_dir is None else wrapper_page.load(page_dir, '/')
    if docs_dir is not None:
        pages |= wrapper_page.load(docs_dir, wrapper_page.DOCS)
    if page_dir is not None and '/' not in pages:
        raise click.ClickException(f'--page-dir {page_dir} holds no index.html: build the page first.')
    lifecycle = Lifecycle()
    book = UsageBook(state_dir)
    counter = Counter(Limiter(book.tokens_today, threads // WAITING_SHARE, max_wait_s), book)
    app = wrapper_app.create_app(lifecycle, keys, registry, forwarder, counter, wrapper_app.Policy(
        frozenset(pass_field), auth_token_is_user, cors_origin, pages))
    keys.watch(keys_reload_s)
    registry.start()
    book.start()
    serve(app, ServerOptions(host, port, threads, max_body_bytes, drain_timeout_s), lifecycle, watcher.end_all)
    book.stop()


main.add_command(wrapper_admin.keys)

if __name__ == '__main__':
    main()
