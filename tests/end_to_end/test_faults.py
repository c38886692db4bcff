"""Backends that die, hang, stall and come back: what RELIABILITY promises, through the real wrapper."""

import signal
import time
from collections.abc import Callable
from functools import partial

from tests.end_to_end.rig import KEY, STUB, WRAPPER, Client, Server, error_of, events_of, quickest, wait_for

Own = Callable[..., Server]
ClientOf = Callable[..., Client]


def test_backend_killed_in_mid_stream(own: Own, client_of: ClientOf) -> None:
    stub = own(STUB, '--faults')
    client = client_of(own(WRAPPER, '--backend-stub', stub.url, '-t', KEY))
    body = b''
    with client.complete('!fault tokens=600 delay=0.02', max_tokens=600, stream=True) as response:
        for piece in response.iter_content(None):
            body += piece
            if not stub.process.returncode and body.count(b'data: ') > 5:
                stub.stop(signal.SIGKILL)
                killed_s = time.monotonic()
    assert time.monotonic() - killed_s < 1
    *before, last = events_of(body)
    assert isinstance(last['error'], dict) and last['error']['code'] == 'backend_lost'
    assert all('error' not in event for event in before) and b'[DONE]' not in body and b'"stop"' not in body


def test_backend_killed_before_an_unstreamed_answer(own: Own, client_of: ClientOf) -> None:
    stub = own(STUB, '--faults')
    client = client_of(own(WRAPPER, '--backend-stub', stub.url, '-t', KEY))
    lost = client.complete('!fault die')
    assert lost.status_code == 502 and error_of(lost)['code'] in ('backend_lost', 'backend_unreachable')
    unreachable = client.complete()
    assert unreachable.status_code == 502 and error_of(unreachable)['code'] == 'backend_unreachable'


def test_unstreamed_answer_cut_short(client: Client) -> None:
    response = client.complete('!fault cut-after=20')
    assert response.status_code == 502 and error_of(response)['code'] == 'backend_lost'


def test_backend_restarted_is_found_again(own: Own, client_of: ClientOf) -> None:
    stub = own(STUB)
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '-t', KEY)
    client = client_of(wrapper)
    assert client.complete().status_code == 200
    stub.stop(signal.SIGKILL)
    wait_for(lambda: client.get('/ready').status_code == 503)
    [model] = client.get('/v1/models').json()['data']
    assert model['status'] == 'error'
    own(STUB, port=stub.port)
    assert client.complete().status_code == 200  # at once: a request never asks what the last poll said
    wait_for(lambda: client.get('/ready').status_code == 200)


def test_hung_backend_ends_in_504_and_delays_nobody(own: Own, client_of: ClientOf) -> None:
    """In the original it hung the model listing, for ever."""
    good, bad = own(STUB, '--model', 'good'), own(STUB, '--faults')
    wrapper = own(WRAPPER, '--backend', bad.url, '--backend', good.url, '-t', KEY,
                  environment={'SANDLE_FIRST_BYTE_TIMEOUT_S': '2', 'SANDLE_IDLE_TIMEOUT_S': '1'})
    client = client_of(wrapper)
    client_of(bad).post('/faults', json={'directive': 'hang', 'path': '/v1/models', 'count': 0})
    with client.complete('!fault stall-after=2', stream=True) as stalled:
        started_s = time.monotonic()
        for path in ('/v1/models', '/v1/models/stub', '/ready'):
            assert quickest(partial(client.get, path)) < 0.3
        assert quickest(lambda: client.post('/v1/completions', json={'model': 'good', 'prompt': 'x'})) < 0.3
        *_, last = events_of(stalled.content)
        assert isinstance(last['error'], dict) and last['error']['code'] == 'backend_timeout'
        assert time.monotonic() - started_s < 3
    for is_stream in (False, True):
        started_s = time.monotonic()
        hung = client.complete('!fault hang', stream=is_stream)
        assert hung.status_code == 504 and error_of(hung)['code'] == 'backend_timeout'
        assert 1.9 < time.monotonic() - started_s < 3


def test_stopped_process_ends_in_504(own: Own, client_of: ClientOf) -> None:
    """A backend whose process is frozen takes connections and says nothing."""
    stub = own(STUB)
    client = client_of(own(WRAPPER, '--backend', stub.url, '-t', KEY, '--first-byte-timeout-s', '2'))
    stub.process.send_signal(signal.SIGSTOP)
    try:
        response = client.complete()
        assert response.status_code == 504 and error_of(response)['code'] == 'backend_timeout'
    finally:
        stub.process.send_signal(signal.SIGCONT)
    assert client.complete().status_code == 200


def test_refusals_of_a_backend_pass(client: Client) -> None:
    for directive, status, retry_after in (('loading', 503, '2'), ('status=429 retry-after=7', 429, '7'),
                                           ('status=400', 400, None), ('status=500', 500, None)):
        response = client.complete(f'!fault {directive}')
        assert response.status_code == status and response.headers.get('Retry-After') == retry_after
        error_of(response)


def test_backends_nonsense_is_a_502(client: Client) -> None:
    for directive in ('garbage', 'status=401', 'status=403'):
        response = client.complete(f'!fault {directive}')
        assert response.status_code == 502
        error_of(response)


def test_sigterm_lets_streams_finish(own: Own, client_of: ClientOf, stub: Server) -> None:
    wrapper = own(WRAPPER, '--backend', stub.url, '-t', KEY)
    client = client_of(wrapper)
    with client.complete('!fault tokens=20 delay=0.1', max_tokens=20, stream=True) as response:
        pieces = response.iter_content(None)
        body = next(pieces)
        wrapper.process.send_signal(signal.SIGTERM)
        other = client_of(wrapper)
        wait_for(lambda: other.get('/ready').status_code == 503, 1.0)
        refused = other.complete()
        assert refused.status_code == 503 and int(refused.headers['Retry-After']) >= 1
        assert error_of(refused)['code'] == 'shutting_down'
        body += b''.join(pieces)
    assert body.endswith(b'data: [DONE]\n\n')
    assert wrapper.process.wait(5) == 0


def test_sigterm_past_the_grace_period_says_so(own: Own, client_of: ClientOf, stub: Server) -> None:
    wrapper = own(WRAPPER, '--backend', stub.url, '-t', KEY, '--drain-timeout-s', '0.5')
    with client_of(wrapper).complete('!fault tokens=600 delay=0.05', max_tokens=600, stream=True) as response:
        pieces = response.iter_content(None)
        body = next(pieces)
        wrapper.process.send_signal(signal.SIGTERM)
        body += b''.join(pieces)
    *_, last = events_of(body)
    assert isinstance(last['error'], dict) and last['error']['code'] == 'shutting_down'
    assert wrapper.process.wait(5) == 0


def test_overload_is_refused_and_health_answers(own: Own, client_of: ClientOf, stub: Server) -> None:
    wrapper = own(WRAPPER, '--backend', stub.url, '-t', KEY, '--threads', '8')
    client = client_of(wrapper)
    running = [client_of(wrapper).complete('!fault tokens=40 delay=0.05', max_tokens=40, stream=True)
               for _ in range(7)]
    started_s = time.monotonic()
    refused = client.complete()
    assert refused.status_code == 503 and refused.headers['Retry-After'] == '1'
    assert error_of(refused)['code'] == 'queue_full'
    assert client.get('/health').status_code == 200
    assert time.monotonic() - started_s < 0.5
    assert all(response.content.endswith(b'data: [DONE]\n\n') for response in running)
    assert client.complete().status_code == 200
