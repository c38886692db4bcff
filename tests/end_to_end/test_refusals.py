"""What a backend refuses or garbles, and what the wrapper refuses when it is full."""

import time
from collections.abc import Callable

from tests.end_to_end.rig import KEY, WRAPPER, Client, Server, error_of

Own = Callable[..., Server]
ClientOf = Callable[..., Client]


def test_refusals_of_a_backend_pass(client: Client) -> None:
    for directive, status, retry_after in (('status=503 retry-after=2', 503, '2'), ('status=400', 400, None),
                                           ('status=429 retry-after=7', 429, '7'), ('status=500', 500, None)):
        response = client.complete(f'!fault {directive}')
        assert response.status_code == status and response.headers.get('Retry-After') == retry_after
        error_of(response)


def test_backends_nonsense_is_a_502(client: Client) -> None:
    for directive in ('garbage', 'status=401', 'status=403'):
        response = client.complete(f'!fault {directive}')
        assert response.status_code == 502
        error_of(response)


def test_overload_is_refused_and_health_answers(own: Own, client_of: ClientOf, stub: Server) -> None:
    wrapper = own(WRAPPER, '--backend', stub.url, '-t', KEY, '--threads', '8', '--max-queue', '0')
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
