"""SENTRY_DSN: errors reach Sentry with their stacks and request ids, and nothing of what users sent."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.receiver import Receiver, receive
from tests.end_to_end.rig import KEY, STUB, WRAPPER, Client, Server, fails_to_start, wait_for

SECRET = 'a-private-matter'


@pytest.fixture
def sentry() -> Iterator[Receiver]:
    """A server to which Sentry's SDK can send."""
    with receive() as receiver:
        yield receiver


def environment(sentry: Receiver) -> dict[str, str]:
    return {'SENTRY_DSN': sentry.url.replace('://', '://public@') + '/7', 'SENTRY_ENVIRONMENT': 'test'}


def events(sentry: Receiver) -> list[dict[str, Any]]:
    """Returns the events of all envelopes: a line for the envelope, then for every item its head and its body."""
    found = []
    for envelope in sentry.bodies('/api/7/envelope/'):
        _, *items = envelope.splitlines()
        found += [json.loads(body) for head, body in zip(items[::2], items[1::2])
                  if json.loads(head)['type'] == 'event']
    return found


def assert_nothing_of_the_users(sentry: Receiver) -> None:
    sent = b''.join(body for _, body in sentry.posts).decode()
    assert SECRET not in sent and KEY not in sent and 'Authorization' not in sent and '"vars"' not in sent


def test_an_unforeseen_error_of_a_backend(own: Callable[..., Server], client_of: Callable[..., Client],
                                          sentry: Receiver) -> None:
    stub = own(STUB, '--faults', environment=environment(sentry))
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '--auth-token', KEY, environment=environment(sentry))
    response = client_of(wrapper).post(
        f'/v1/completions?q={SECRET}', headers={'x-request-id': 'mine', 'Cookie': SECRET},
        json={'model': 'stub', 'prompt': f'!fault bug\n{SECRET}', 'user': SECRET})
    assert response.status_code == 500
    wait_for(lambda: bool(events(sentry)), 20)
    [event] = events(sentry)
    assert event['tags'] == {'component': 'backend-stub', 'request_id': 'mine'}
    assert event['level'] == 'error' and event['environment'] == 'test' and event['logger'] == 'sandle.app'
    [error] = event['exception']['values']
    assert error['type'] == 'RuntimeError' and 'value' not in error
    assert error['stacktrace']['frames'][-1]['function'] == 'raise_refusal'
    assert event['logentry'] == {'message': 'unhandled error in %s %s'}
    assert not event.keys() & {'request', 'user', 'breadcrumbs', 'extra', 'modules'}
    assert_nothing_of_the_users(sentry)
    wait_for(lambda: 'a bug was asked for' in stub.output)  # the log has the message
    assert SECRET not in stub.output


def test_what_the_wrapper_logs_as_an_error(own: Callable[..., Server], client_of: Callable[..., Client],
                                           sentry: Receiver, stub: Server, tmp_path: Path) -> None:
    state_dir = tmp_path / 'state'
    (state_dir / 'usage.sqlite3').mkdir(parents=True)  # a folder where the file should be
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '--auth-token', KEY, '--state-dir', str(state_dir),
                  environment=environment(sentry))
    assert client_of(wrapper).complete(SECRET).status_code == 200
    wait_for(lambda: bool(events(sentry)), 20)
    assert events(sentry)[0]['tags']['component'] == 'openai-wrapper'
    assert events(sentry)[0]['logentry'] == {'message': 'usage cannot be written, it is kept in memory: %s'}
    assert str(tmp_path) not in json.dumps(events(sentry)[0])
    assert_nothing_of_the_users(sentry)


@pytest.mark.parametrize('script', [STUB, WRAPPER])
def test_a_bad_dsn_stops_the_start(script: str) -> None:
    said = fails_to_start(script, *([] if script == STUB else ['--backend', 'http://127.0.0.1:9', '--auth-token', KEY]),
                          environment={'SENTRY_DSN': 'nonsense'})
    assert 'SENTRY_DSN is no DSN' in said and 'Traceback' not in said
