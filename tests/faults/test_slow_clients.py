"""Clients that do not read what they asked for, and clients that never finish asking."""

import contextlib
import json
import re
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.rig import KEY, WRAPPER, Client, Server, request_bytes, wait_for
from tests.end_to_end.web_server import Nginx, run_nginx
from tests.faults.asking import percentile
from tests.faults.conftest import Stack
from tests.faults.figures import Figures
from tests.faults.memory import resident_mb

SLOW_READERS = 20
SEND_TIMEOUT_S = 5
# More than fits into the buffers on the way, so that the stream comes to a stand.
LONG_STREAM = json.dumps({'model': 'stub', 'prompt': '!fault tokens=500000', 'max_tokens': 500_000, 'stream': True,
                          'logprobs': 5, 'stream_batch_size': 16}).encode()
BAD_CLIENTS = 200
HEAD = request_bytes(b'x' * 1000).removesuffix(b'x' * 1000)
KINDS = {  # what each says at first, and every second from then on
    'nothing': (b'', b''),
    'half a head': (HEAD[:40], b''),
    'a head in drops': (HEAD[:-2] + b'X: ', b'x'),
    'a body in drops': (HEAD, b'x')}


@pytest.fixture
def stalled(stack: Stack, own: Callable[..., Server], tmp_path: Path) -> Iterator[tuple[Server, Nginx]]:
    """A wrapper and an nginx that are as patient with slow readers as here is time for."""
    wrapper = own(WRAPPER, '--backend', stack.stub.url, '-t', KEY, '--send-timeout-s', str(SEND_TIMEOUT_S))
    with run_nginx(tmp_path, wrapper.port, {'send_timeout 60s': f'send_timeout {SEND_TIMEOUT_S}s'}) as nginx:
        yield wrapper, nginx


def first_token_s(client: Client) -> float:
    """Returns the median of how long a first token takes that the backend gives after 0.2 s."""
    def one() -> float:
        started_s = time.monotonic()
        with client.complete('!fault first-delay=0.2', stream=True) as response:
            next(response.iter_content(1))
            return time.monotonic() - started_s
    return statistics.median(one() for _ in range(7))


def generated(stack: Stack) -> float:
    """Returns the tokens that the stub has generated."""
    [count] = re.findall(r'^sandle_completion_tokens_total (\S+)', stack.direct.get('/metrics').text, re.MULTILINE)
    return float(count)


def wait_until_it_stands(stack: Stack) -> None:
    """Waits until the streams of the slow readers have filled every buffer."""
    last = [generated(stack)]

    def stands() -> bool:
        time.sleep(0.3)  # long beside the time between two of their tokens
        last.append(generated(stack))
        return last[-1] == last[-2] > SLOW_READERS
    wait_for(stands, 30.0)


@pytest.mark.fault('slow reader')
def test_slow_readers(stack: Stack, stalled: tuple[Server, Nginx], figures: Figures) -> None:
    wrapper, nginx = stalled
    pids = wrapper.process.pid, nginx.pid
    with contextlib.ExitStack() as open_ones:
        client = open_ones.enter_context(contextlib.closing(Client(nginx.url)))
        alone_s, before_mb = first_token_s(client), resident_mb(*pids)
        for number in range(SLOW_READERS):
            sock = open_ones.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(('127.0.0.1', (wrapper.port, nginx.port)[number % 2]))
            sock.sendall(request_bytes(LONG_STREAM))
        wait_until_it_stands(stack)
        stands_since_s = time.monotonic()
        grown_mb, beside_s = resident_mb(*pids) - before_mb, first_token_s(client)
        wait_for(lambda: stack.direct.get('/faults').json()['running'] == 0, 4 * SEND_TIMEOUT_S)
        freed_s = time.monotonic() - stands_since_s
    figures.below(f'memory of wrapper and nginx grows by, with {SLOW_READERS} of them', grown_mb, 32, 'MB')
    figures.below("others' first token beside them takes, of what it takes alone", beside_s / alone_s, 1.1, 'times')
    figures.below(f'all dropped, after the last token for them; the send timeout is {SEND_TIMEOUT_S} s', freed_s,
                  SEND_TIMEOUT_S + 3)
    assert f'has read nothing for {SEND_TIMEOUT_S} s' in wrapper.output


class BadClients(threading.Thread):
    """Clients of every kind, a quarter each, until the server has closed the last of them."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self.closed_after_s: list[float] = []

    def run(self) -> None:
        """Opens all, and sends drops."""
        with contextlib.ExitStack() as stack:
            clients: dict[socket.socket, tuple[bytes, float]] = {}
            for number in range(BAD_CLIENTS):
                begin, drop = list(KINDS.values())[number % len(KINDS)]
                sock = stack.enter_context(socket.create_connection(('127.0.0.1', self._port), 10))
                sock.sendall(begin)
                sock.setblocking(False)
                clients[sock] = drop, time.monotonic()
            while clients and time.monotonic() - max(began_s for _, began_s in clients.values()) < 60:
                for sock, (drop, began_s) in list(clients.items()):
                    if is_closed(sock, drop):
                        self.closed_after_s.append(time.monotonic() - began_s)
                        del clients[sock]
                time.sleep(0.5)  # the pace of the drops


def is_closed(sock: socket.socket, drop: bytes) -> bool:
    """Sends a drop; returns whether the other side has had enough."""
    try:
        sock.sendall(drop)
        return sock.recv(4096) == b''
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.fault('slowloris and half-open connections')
def test_slowloris(stack: Stack, figures: Figures) -> None:
    places = {'nginx': stack.nginx.port, 'the wrapper alone': stack.wrapper.port, 'a backend alone': stack.stub.port}
    bad = {name: BadClients(port) for name, port in places.items()}
    for clients in bad.values():
        clients.start()
    good_s: dict[str, list[float]] = {name: [] for name in places}
    while any(clients.is_alive() for clients in bad.values()):
        for name, port in places.items():
            with contextlib.closing(Client(f'http://127.0.0.1:{port}')) as client:
                started_s = time.monotonic()
                assert client.complete().status_code == 200
                good_s[name].append(time.monotonic() - started_s)
        time.sleep(0.5)  # between two good requests
    for name, clients in bad.items():
        clients.join()
        figures.exactly(f'{BAD_CLIENTS} of them at {name}: closed', len(clients.closed_after_s), BAD_CLIENTS)
        figures.below('the last of them closed after', max(clients.closed_after_s), 30.0)
        figures.below('a good request beside them, nine in ten', percentile(good_s[name], 0.9), 0.3)
