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
