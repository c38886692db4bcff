"""Requests are held while their backend is loading its model or lost, and told so."""

import signal
import time
from collections.abc import Callable

import pytest

from tests.end_to_end.rig import KEY, STUB, WRAPPER, Client, Server, error_of, events_of, wait_for

Own = Callable[..., Server]
ClientOf = Callable[..., Client]


@pytest.mark.parametrize('is_stream', [False, True])
def test_held_while_the_model_loads(client: Client, direct: Client, is_stream: bool) -> None:
    direct.post('/faults', json={'directive': 'loading'})  # the next request; it is to be asked again after 2 s
    response = client.complete(stream=is_stream)
    assert response.status_code == 200 and response.headers['x-sandle-queue-position'] == '1'
    assert 1.5 < response.elapsed.total_seconds() + (0.0 if not is_stream else 1.0)
    if is_stream:
        body = response.content
        assert body.startswith(b': queue 1\n\n') and body.endswith(b'data: [DONE]\n\n')
        assert b'queue' not in client.complete(stream=True).content
    else:
        assert response.json()['choices'][0]['text'] and 'x-sandle-queue-position' not in client.complete().headers


def test_held_while_the_backend_is_away(own: Own, client_of: ClientOf) -> None:
    stub = own(STUB)
    client = client_of(own(WRAPPER, '--backend', stub.url, '-t', KEY))
    assert client.complete().status_code == 200
    stub.stop(signal.SIGKILL)
    with client.complete(stream=True) as response:
        pieces = response.iter_content(None)
        assert next(pieces) == b': queue 1\n\n'
        own(STUB, port=stub.port)
        started_s = time.monotonic()
        assert b''.join(pieces).endswith(b'data: [DONE]\n\n')
        assert time.monotonic() - started_s < 3


def test_patience_ends_within_the_stream(own: Own, client_of: ClientOf) -> None:
    stub = own(STUB)
    client = client_of(own(WRAPPER, '--backend', stub.url, '-t', KEY, '--max-wait-s', '1.5'))
    stub.stop(signal.SIGKILL)
    wait_for(lambda: client.get('/ready').status_code == 503)
    [event] = events_of(client.complete(stream=True).content)
    refused = client.complete()
    assert event['error'] == error_of(refused) and refused.status_code == 503


def test_a_drain_lets_those_who_wait_have_their_turn(own: Own, client_of: ClientOf) -> None:
    stub = own(STUB, '--faults', '--model', 'stub')
    wrapper = own(WRAPPER, '--backend', stub.url, '-t', KEY, '--max-running', '1')
    running = client_of(wrapper).complete('!fault tokens=40 delay=0.05', max_tokens=40, stream=True)
    queued = client_of(wrapper).complete(stream=True)
    wrapper.process.send_signal(signal.SIGTERM)
    for response in (running, queued):
        assert response.content.endswith(b'data: [DONE]\n\n')
    assert wrapper.process.wait(10) == 0
