"""A client that leaves frees its place at the backend."""

import socket
import time

import pytest

from tests.end_to_end.rig import Client, Server, request_bytes, wait_for

UNTIL_FREE_S = 1.0


def faults(direct: Client) -> tuple[int, int]:
    state = direct.get('/faults').json()
    return state['running'], state['cancelled']


@pytest.mark.parametrize('is_stream', [False, True])
@pytest.mark.parametrize('directive', ['first-delay=30', 'tokens=600 delay=0.05'])
def test_client_that_leaves_frees_the_backend(wrapper: Server, direct: Client, is_stream: bool, directive: str) -> None:
    wait_for(lambda: faults(direct)[0] == 0)
    cancelled = faults(direct)[1]
    body = f'{{"model": "stub", "prompt": "!fault {directive}", "max_tokens": 600, "stream": {str(is_stream).lower()}}}'
    with socket.create_connection(('127.0.0.1', wrapper.port), timeout=5) as sock:
        sock.sendall(request_bytes(body.encode()).replace(b'Connection: close\r\n', b''))
        wait_for(lambda: faults(direct)[0] == 1)
        time.sleep(0.2)  # long enough to be dropped by mistake
        assert faults(direct)[0] == 1
    assert wait_for(lambda: faults(direct)[0] == 0) < UNTIL_FREE_S
    assert faults(direct)[1] == cancelled + 1


def test_client_that_leaves_is_in_the_log(wrapper: Server) -> None:
    wait_for(lambda: 'reason=client_disconnected' in wrapper.output)


@pytest.mark.parametrize('directive, is_stream, least_tokens', [
    ('tokens=600 delay=0.02', False, 5), ('tokens=600 delay=0.02', True, 5), ('first-delay=30', False, 0),
    ('first-delay=30', True, 0)])
def test_client_that_leaves_pays_for_what_was_generated(wrapper: Server, client: Client, direct: Client, directive: str,
                                                        is_stream: bool, least_tokens: int) -> None:
    before = used(client)
    body = f'{{"model": "stub", "prompt": "!fault {directive}", "max_tokens": 600, "stream": {str(is_stream).lower()}}}'
    with socket.create_connection(('127.0.0.1', wrapper.port), timeout=5) as sock:
        sock.sendall(request_bytes(body.encode()).replace(b'Connection: close\r\n', b''))
        wait_for(lambda: faults(direct)[0] == 1)
        time.sleep(0.3)  # in which tokens are generated, or none
    wait_for(lambda: used(client)[0] == before[0] + 1)
    requests, prompt_tokens, completion_tokens = (now - then for now, then in zip(used(client), before))
    assert requests == 1 and prompt_tokens > 5 and least_tokens <= completion_tokens < 300
    assert completion_tokens > 0 or not least_tokens


def used(client: Client) -> tuple[int, int, int]:
    """Returns how many requests were billed so far, with their tokens of prompts and completions."""
    days = client.get('/v1/usage').json()['data']
    return (sum(day['requests'] for day in days), sum(day['prompt_tokens'] for day in days),
            sum(day['completion_tokens'] for day in days))
