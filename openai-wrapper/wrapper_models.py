"""The `models` commands: what an operator sees of the models of backends that run, and has loaded and unloaded there.

They ask the backends themselves, every replica, and need no wrapper to run. Knows a backend's addresses for operators;
nothing of keys and requests for completions.
"""

import json
import ssl
import time
from collections.abc import Callable, Iterator

import click

from sandle import errors, jsonbody
from sandle.app import LOAD_PATH, UNLOAD_PATH
from sandle.protocol import ModelObject
from wrapper_admin import print_table
from wrapper_backend import look_up
from wrapper_exchange import Exchange, Watcher
from wrapper_listing import model_objects
from wrapper_options import Settings
from wrapper_replica import CannotConnectError, Replica
from wrapper_url import parse_url

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 8 * 2 ** 20
LOOK_AGAIN_S = 0.5


class Place:
    """A replica whose models a command is about. Methods raise ClickException."""

    def __init__(self, replica: Replica, watcher: Watcher) -> None:
        self._replica = replica
        self._watcher = watcher

    def __str__(self) -> str:
        return str(self._replica)

    def models(self) -> dict[str, ModelObject]:
        """Returns its models by their ids."""
        status, body = self._ask('GET', '/v1/models', None)
        if status != 200:
            raise click.ClickException(f'{self} answers with status {status}.')
        try:
            return {model.id: model for model in model_objects(jsonbody.parse_object(body))}
        except errors.ApiError as error:
            raise click.ClickException(f'{self} lists no models: {error}.') from None

    def model(self, model: str) -> ModelObject:
        """Returns one of them."""
        models = self.models()
        if model not in models:
            raise click.ClickException(f'{self} does not have the model {model!r} any more.')
        return models[model]

    def change(self, path: str, model: str) -> None:
        """Asks for a model to be loaded or unloaded."""
        status, body = self._ask('POST', path, json.dumps({'model': model}).encode())
        if status in (404, 405):
            raise click.ClickException(f'{self} does not load and unload models when it is told to.')
        if status not in (200, 202):
            raise click.ClickException(f'{self}: {_message(body) or f"status {status}"}')

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {'Accept': 'application/json'} | ({} if body is None else {'Content-Type': 'application/json'})
        exchange = Exchange(self._replica, self._watcher, lambda: False)
        try:
            exchange.start(method, path, body, headers, TIMEOUT_S)
            return exchange.status, exchange.read_all(TIMEOUT_S, MAX_ANSWER_BYTES)
        except CannotConnectError:
            raise click.ClickException(f'{self} cannot be reached.') from None
        except errors.ApiError as error:
            raise click.ClickException(f'{self}: {error}') from None
        finally:
            exchange.close()
            self._replica.close()  # a connection for each question


@click.group()
def models() -> None:
    """See, load and unload the models of the backends, which run meanwhile. The backends are the wrapper's."""


@models.command('list')
@click.pass_obj
def list_models(settings: Settings) -> None:
    """List the models of every backend, and how each of them stands."""
    rows: list[tuple[str, ...]] = [('MODEL', 'STATUS', 'BACKEND', '')]
    rows += [(model.id, model.status, str(place), model.status_message or '')
             for place, models in _listings(settings) for model in models.values()]
    print_table(rows)


@models.command()
@click.argument('model')
@click.pass_obj
def load(settings: Settings, model: str) -> None:
    """Have a model in memory, and wait until it is there. What is running there ends first."""
    for place, stood in _change(settings, LOAD_PATH, model, lambda shown: shown.status == 'loading'):
        if stood.status != 'ready':
            raise click.ClickException(f'{place}: {stood.status_message or "it has been taken out of memory again."}')
        click.echo(f'{place}: {model} is in memory.')


@models.command()
@click.argument('model')
@click.pass_obj
def unload(settings: Settings, model: str) -> None:
    """Have a model not in memory, and wait until it has left. What is running ends first; a request brings it back."""
    leaves = _change(settings, UNLOAD_PATH, model, lambda shown: shown.status == 'ready' and bool(shown.status_message))
    for place, stood in leaves:
        click.echo(f'{place}: {model} is {"in memory again" if stood.status == "ready" else "not in memory"}.')


def _change(settings: Settings, path: str, model: str,
            is_under_way: Callable[[ModelObject], bool]) -> Iterator[tuple[Place, ModelObject]]:
    """Has a model changed wherever it is on offer; yields where, and how it stands there when that has ended."""
    places = [place for place, models in _listings(settings) if model in models]
    if not places:
        raise click.ClickException(f'No backend has the model {model!r}.')
    for place in places:
        place.change(path, model)
    for place in places:
        told = None
        while is_under_way(shown := place.model(model)):
            if shown.status_message != told and shown.status_message:
                click.echo(f'{place}: {shown.status_message}')
            told = shown.status_message
            time.sleep(LOOK_AGAIN_S)
        yield place, shown


def _listings(settings: Settings) -> Iterator[tuple[Place, dict[str, ModelObject]]]:
    """Yields every replica with its models; of one that does not tell them, says why."""
    if not settings.backend_urls:
        raise click.ClickException('No backend: give its URL before the command, as to a wrapper that serves.')
    watcher = Watcher()
    for url in settings.backend_urls:
        for replica in _replicas(url, settings.connect_timeout_s):
            place = Place(replica, watcher)
            try:
                models = place.models()
            except click.ClickException as error:
                click.echo(error.message, err=True)
                continue
            yield place, models


def _replicas(text: str, timeout_s: float) -> list[Replica]:
    """Returns the replicas of a backend; of a name with addresses of both IP versions, those that can be reached."""
    try:
        url = parse_url(text)
        addresses = list(dict.fromkeys(look_up(url.host, url.port)))
    except ValueError as error:
        raise click.ClickException(f'Bad backend: {error}.') from None
    except OSError as error:
        raise click.ClickException(f'The addresses of {text} cannot be found: {error}.') from None
    tls = ssl.create_default_context() if url.scheme == 'https' else None
    replicas = [(family, Replica(url, (family, place), timeout_s, tls)) for family, place in addresses]
    for version in dict.fromkeys(family for family, _ in replicas):
        found = [replica for family, replica in replicas if family == version]
        if any(map(_is_reachable, found)):
            return found
    return [replica for _, replica in replicas]


def _is_reachable(replica: Replica) -> bool:
    try:
        connection = replica.acquire(is_fresh=True)
    except CannotConnectError:
        return False
    replica.release(connection, is_reusable=False)
    return True


def _message(body: bytes) -> str | None:
    """Returns what an error of the API says."""
    try:
        error = jsonbody.parse_object(body).get('error')
    except errors.ApiError:
        return None
    return str(error['message']) if isinstance(error, dict) and 'message' in error else None
