"""The `models` commands, as an operator types them, on scripted backends; on real ones in backend-hf's tests."""

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import wrapper_models
from sandle.app import LOAD_PATH, UNLOAD_PATH
from tests.end_to_end.scripted_backend import Answer, Received, Upstream
from wrapper_options import with_settings

UNREACHABLE = 'http://127.0.0.1:9'


@pytest.fixture
def run() -> Callable[..., Result]:
    """A function that runs a command for backends."""
    @click.group()
    @with_settings
    def main(context: click.Context, settings: Any) -> None:
        """Stands in place of the wrapper's own."""
        context.obj = settings

    main.add_command(wrapper_models.models)

    def run(*arguments: str, backends: Sequence[str]) -> Result:
        urls = [argument for url in backends for argument in ('--backend', url)]
        return CliRunner().invoke(main, [*urls, 'models', *arguments])

    return run


def stands(upstream: Upstream, *models: Mapping[str, object]) -> None:
    """Has a backend list its model so, one listing after the other; the last one stays."""
    left = [Answer(json.dumps({'data': [{'id': 'm', **model}]})) for model in models]

    def answer(sock: socket.socket, received: Received) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(sock, received)

    upstream.scripts['/v1/models'] = answer


def test_models_of_all_backends_are_listed(upstream: Upstream, run: Callable[..., Result]) -> None:
    stands(upstream, {'status': 'error', 'status_message': 'no weights'})
    result = run('list', backends=[UNREACHABLE, upstream.url])
    assert result.exit_code == 0
    heading, row = result.stdout.splitlines()
    assert heading.split() == ['MODEL', 'STATUS', 'BACKEND'] and row.split() == [
        'm', 'error', upstream.url, 'no', 'weights']
    assert result.stderr == f'{UNREACHABLE} cannot be reached.\n'


def test_load_tells_how_far_it_is_until_the_model_is_there(upstream: Upstream, run: Callable[..., Result],
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapper_models, 'LOOK_AGAIN_S', 0.0)
    stands(upstream, {'status': 'available'}, *({'status': 'loading', 'status_message': text} for text in (
        None, 'downloading: half', 'downloading: half', 'loading')), {'status': 'ready'})
    upstream.scripts[LOAD_PATH] = Answer('{}', status=202)
    result = run('load', 'm', backends=[upstream.url])
    assert result.exit_code == 0, result.stderr
    assert [line.removeprefix(f'{upstream.url}: ') for line in result.stdout.splitlines()] == [
        'downloading: half', 'loading', 'm is in memory.']
    (asked,) = [request for request in upstream.received if request.path == LOAD_PATH]
    assert json.loads(asked.body) == {'model': 'm'} and asked.headers['content-type'] == 'application/json'


@pytest.mark.parametrize(('arguments', 'answer', 'listing', 'words'), [
    (['load', 'm'], Answer('{}', status=202), {'status': 'error', 'status_message': 'no room'}, ': no room'),
    (['load', 'm'], Answer('{}', status=202), {'status': 'available'}, 'taken out of memory again'),
    (['unload', 'm'], Answer('{"error": {"message": "It is being loaded."}}', status=503), {}, ': It is being loaded.'),
    (['unload', 'm'], Answer('oops', status=500), {}, ': status 500'),
    (['unload', 'm'], Answer('{"detail": "Not Found"}', status=404), {}, 'does not load and unload models'),
    (['load', 'other'], Answer('{}'), {}, "No backend has the model 'other'."),
])
def test_what_cannot_be_is_told_in_one_line(upstream: Upstream, run: Callable[..., Result], arguments: list[str],
                                            answer: Answer, listing: dict[str, object], words: str) -> None:
    stands(upstream, {}, listing)
    upstream.scripts |= {LOAD_PATH: answer, UNLOAD_PATH: answer}
    result = run(*arguments, backends=[upstream.url])
    assert result.exit_code == 1 and words in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(('backends', 'words'), [
    ([], 'No backend: give its URL'), (['nonsense'], 'Bad backend'), (['http://name.invalid'], 'cannot be found')])
def test_bad_backends_are_named(run: Callable[..., Result], backends: list[str], words: str) -> None:
    result = run('list', backends=backends)
    assert result.exit_code == 1 and words in result.stderr
