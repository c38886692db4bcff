"""Backends that die, hang, stall and come back: what RELIABILITY promises, through the real wrapper."""

import signal
import time
from collections.abc import Callable

from tests.end_to_end.rig import KEY, WRAPPER, Client, Server, error_of, events_of, wait_for

Own = Callable[..., Server]
ClientOf = Callable[..., Client]


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
