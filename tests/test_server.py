"""The server as a process: limits, malformed requests, and the way it ends."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.served_app import BIG

ROOT = Path(__file__).parents[1]
PATIENCE_S = 10.0
MAX_BODY_BYTES = 1000


class Served:
    """A running process and where it listens."""

    def __init__(self, process: 'subprocess.Popen[str]', port: int, lines: list[str]) -> None:
        self.process = process
        self.port = port
        self.lines = lines
        self.url = f'http://127.0.0.1:{port}'

    def send(self, data: bytes, *more: bytes) -> bytes:
        """Sends bytes, and more a little later; returns what comes back until the server closes or is silent."""
        with socket.create_connection(('127.0.0.1', self.port), PATIENCE_S) as connection:
            for part in (data, *more):
                with contextlib.suppress(ConnectionError):
                    connection.sendall(part)
                time.sleep(0.05)  # so that the parts arrive apart
            connection.settimeout(1)
            received = b''
            try:
                while piece := connection.recv(65536):
                    received += piece
            except TimeoutError:
                return received
            except ConnectionError:  # closed with something of ours unread
                pass
            return received + b'CLOSED'

    def wait_for_line(self, words: str) -> None:
        """Waits for a line of the log."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not any(words in line for line in self.lines):
            assert time.monotonic() < deadline_s, self.lines
            time.sleep(0.01)  # between two looks at the log


@contextlib.contextmanager
def running(drain_timeout_s: float = 5.0, receive_timeout_s: float = 20.0,
            send_timeout_s: float = 20.0) -> Iterator[Served]:
    limits = (MAX_BODY_BYTES, drain_timeout_s, receive_timeout_s, send_timeout_s)
    command = [sys.executable, '-m', 'tests.served_app', *map(str, limits)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        lines: list[str] = []
        try:
            for line in process.stderr:
                lines.append(line)
                if match := re.search(r'listening on http://127\.0\.0\.1:(\d+)', line):
                    break
            else:
                raise AssertionError(''.join(lines))
            reader = threading.Thread(target=lines.extend, args=(process.stderr,))
            reader.start()
            yield Served(process, int(match[1]), lines)
        finally:
            process.kill()
        reader.join(PATIENCE_S)


@pytest.fixture(scope='module')
def served() -> Iterator[Served]:
    with running() as server:
        yield server


def responses_in(received: bytes) -> list[tuple[int, dict[str, Any]]]:
    """Returns status and JSON of each response; all must have an id, and the connection must have been closed."""
    assert received.endswith(b'CLOSED')
    parts = re.split(rb'(?=HTTP/1\.[01] \d{3} )', received.removesuffix(b'CLOSED'))
    found = []
    for part in filter(None, parts):
        head, _, body = part.partition(b'\r\n\r\n')
        assert b'\r\ncontent-type: application/json' in head.lower() and b'\r\nx-request-id: req-' in head.lower()
        assert b'\r\nconnection: close' in head.lower()
        found.append((int(head.split()[1]), json.loads(body)))
    return found


def request(path: str = '/echo', headers: str = '', method: str = 'POST', version: str = 'HTTP/1.1') -> bytes:
    return f'{method} {path} {version}\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\r\n'.encode('latin-1')


CLOSE = 'Connection: close\r\n'
SMUGGLED = b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'


@pytest.mark.parametrize('data', [
    b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n',
    b'GET\r\n\r\n',
    b'nonsense\r\n\r\n',
    b'GET /health HTTP/9.9x\r\n\r\n',
    b'GET /health HTTP/1.1\r\nno colon\r\n\r\n',
    b'GET /health HTTP/1.1\r\n bad: fold\r\n\r\n',
    b'GET /health HTTP/1.1\r\nA b: c\r\n\r\n',
    b'GET /health HTTP/1.1\r\nA: \x00\r\n\r\n',
    b'GET /health HTTP/1.1\r\nHost: x\nA: b\r\n\r\n',
    request(headers='Content-Length: -1\r\n'),
    request(headers='Content-Length: 2, 2\r\n') + b'{}',
    request(headers='Content-Length: 2\r\nContent-Length: 3\r\n') + b'{}',
    request(headers='Content-Length: +2\r\n') + b'{}',
    request(headers='Content-Length: 0x2\r\n') + b'{}',
    request(headers='Content-Length: ' + '9' * 5000 + '\r\n') + b'{}',
    request(headers='Content-Length: 4\r\nTransfer-Encoding: chunked\r\n') + b'0\r\n\r\n' + SMUGGLED,
    request(headers='Transfer-Encoding: chunked\r\nContent-Length: 4\r\n') + b'0\r\n\r\n' + SMUGGLED,
    request(headers='Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n') + b'0\r\n\r\n' + SMUGGLED,
    request(headers='Transfer-Encoding: chunked, chunked\r\n') + b'0\r\n\r\n' + SMUGGLED,
    request(headers='Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n', version='HTTP/1.0') + SMUGGLED,
    request(headers='Transfer-Encoding: x\r\nContent-Length: 2\r\n', version='HTTP/1.0') + b'{}',
    b'GET http://[::1/health HTTP/1.1\r\nHost: x\r\n\r\n',
    request(headers='Transfer-Encoding: chunked\r\n') + b'zz\r\n{}\r\n0\r\n\r\n' + SMUGGLED,
    request(headers='Transfer-Encoding: chunked\r\n') + b'2\n{}\n0\n\n' + SMUGGLED,
])
def test_a_malformed_request_gets_one_400_in_json_and_the_end(served: Served, data: bytes) -> None:
    ((status, body),) = responses_in(served.send(data))
    assert status == 400
    assert body['error'].keys() == {'message', 'type', 'param', 'code'}
    assert body['error']['type'] == 'invalid_request_error'
    assert 'Traceback' not in body['error']['message']


@pytest.mark.parametrize('coding', ['gzip', 'chunked, gzip', 'gzip, chunked', 'xchunked', 'identity'])
def test_another_transfer_encoding_is_refused(served: Served, coding: str) -> None:
    ((status, body),) = responses_in(served.send(request(headers=f'Transfer-Encoding: {coding}\r\n') + SMUGGLED))
    assert status == 400 and body['error']['type'] == 'invalid_request_error'


def test_a_large_body_is_a_413_before_it_is_sent(served: Served) -> None:
    started_s = time.monotonic()
    ((status, body),) = responses_in(served.send(request(headers=f'Content-Length: {10 ** 12}\r\n'), b'x' * 100))
    assert (status, body['error']['message']) == (413, 'The request body is too large.')
    assert time.monotonic() - started_s < PATIENCE_S / 2


def test_a_large_chunked_body_is_a_413(served: Served) -> None:
    chunk = b'%x\r\n%s\r\n' % (MAX_BODY_BYTES, b'x' * MAX_BODY_BYTES)
    data = request(headers='Transfer-Encoding: chunked\r\n') + chunk * 3 + b'0\r\n\r\n'
    ((status, _),) = responses_in(served.send(data))
    assert status == 413


def test_a_body_of_the_limit_is_read(served: Served) -> None:
    exact = requests.post(f'{served.url}/size', data=b'x' * MAX_BODY_BYTES, timeout=PATIENCE_S)
    assert exact.json() == {'size': MAX_BODY_BYTES}
    assert requests.post(f'{served.url}/size', data=b'x' * (MAX_BODY_BYTES + 1), timeout=PATIENCE_S).status_code == 413


def test_a_chunked_body_is_read(served: Served) -> None:
    response = requests.post(f'{served.url}/echo', data=iter([b'{"a":', b' 1}']), timeout=PATIENCE_S,
                             headers={'Content-Type': 'application/json'})
    assert response.json() == {'a': 1}


def test_expect_continue_is_answered(served: Served) -> None:
    received = served.send(request(headers=f'Content-Length: 2\r\nExpect: 100-continue\r\n{CLOSE}'), b'{}')
    assert received.startswith(b'HTTP/1.1 100 ') and b'HTTP/1.1 200 ' in received and received.endswith(b'{}\nCLOSED')


@pytest.mark.parametrize('headers', ['X: ' + 'x' * 10 ** 6 + '\r\n', 'X: x\r\n' * 100_000])
def test_large_headers_are_a_431(served: Served, headers: str) -> None:
    ((status, body),) = responses_in(served.send(request(headers=headers, method='GET', path='/health')))
    assert (status, body['error']['type']) == (431, 'invalid_request_error')


def test_http_1_0_is_answered_and_closed(served: Served) -> None:
    received = served.send(request('/health', method='GET', version='HTTP/1.0'))
    assert received.startswith(b'HTTP/1.0 200 OK') and received.endswith(b'{"status":"ok"}\nCLOSED')


def test_requests_share_a_connection(served: Served) -> None:
    with requests.Session() as session:
        for _ in range(3):
            assert session.get(f'{served.url}/health', timeout=PATIENCE_S).status_code == 200
    assert served.send(SMUGGLED + SMUGGLED.replace(b'\r\n\r\n', b'\r\nConnection: close\r\n\r\n')).count(b'200 OK') == 2


def test_a_client_that_leaves_is_noticed(served: Served) -> None:
    with pytest.raises(requests.ReadTimeout):
        requests.get(f'{served.url}/wait', timeout=0.3)
    served.wait_for_line('the client has gone')


def test_a_slow_request_does_not_hold_up_others(served: Served) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(50):  # more than there are threads
            connection = stack.enter_context(socket.create_connection(('127.0.0.1', served.port), PATIENCE_S))
            connection.sendall(b'POST /echo HTTP/1.1\r\nContent-Le')
        started_s = time.monotonic()
        assert requests.get(f'{served.url}/health', timeout=PATIENCE_S).status_code == 200
        assert time.monotonic() - started_s < 1


@pytest.fixture(scope='module')
def impatient() -> Iterator[Served]:
    """A server that gives a client a second to send its request, and as much to read."""
    with running(receive_timeout_s=1.0, send_timeout_s=1.0) as server:
        yield server


def until_closed(connection: socket.socket) -> tuple[bytes, float]:
    """Returns what comes until the server closes, and the seconds that it took."""
    started_s = time.monotonic()
    received = b''
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return received, time.monotonic() - started_s


@pytest.mark.parametrize('begun', [b'POST /echo HT', request(headers='Content-Length: 9\r\n') + b'{"a"',
                                   request(headers='Transfer-Encoding: chunked\r\n') + b'5\r\n{"a'])
def test_a_request_that_does_not_arrive_is_a_408(impatient: Served, begun: bytes) -> None:
    with socket.create_connection(('127.0.0.1', impatient.port), PATIENCE_S) as connection:
        connection.sendall(begun)
        received, seconds = until_closed(connection)
    ((status, body),) = responses_in(received + b'CLOSED')
    assert (status, body['error']['message']) == (408, 'The request did not arrive in time.')
    assert 0.9 < seconds < PATIENCE_S / 2


def test_a_request_that_trickles_is_a_408(impatient: Served) -> None:
    with socket.create_connection(('127.0.0.1', impatient.port), PATIENCE_S) as connection:
        started_s = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - started_s < PATIENCE_S / 2:
                connection.sendall(b'x')
                time.sleep(0.1)  # the pace of the client
        assert time.monotonic() - started_s < PATIENCE_S / 2


def test_a_connection_that_says_nothing_is_closed(impatient: Served) -> None:
    with socket.create_connection(('127.0.0.1', impatient.port), PATIENCE_S) as connection:
        received, seconds = until_closed(connection)
    assert received == b'' and 0.9 < seconds < PATIENCE_S / 2


def test_a_connection_between_requests_stays_open(impatient: Served) -> None:
    with socket.create_connection(('127.0.0.1', impatient.port), PATIENCE_S) as connection:
        connection.sendall(SMUGGLED)
        assert b'200 OK' in connection.recv(65536)
        with socket.create_connection(('127.0.0.1', impatient.port), PATIENCE_S) as silent:
            until_closed(silent)  # which is younger
        connection.sendall(SMUGGLED)
        assert b'200 OK' in connection.recv(65536)


def test_a_client_that_does_not_read_is_dropped(impatient: Served) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 ** 14)
        connection.connect(('127.0.0.1', impatient.port))
        connection.sendall(request('/big', method='GET'))
        impatient.wait_for_line('has read nothing')
        received, _ = until_closed(connection)
    assert len(received) < BIG / 2


def test_a_client_that_reads_slowly_gets_everything(impatient: Served) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 ** 18)
        connection.connect(('127.0.0.1', impatient.port))
        connection.sendall(request('/big', method='GET', headers=CLOSE))
        size = 0
        while piece := connection.recv(2 ** 20):
            size += len(piece)
            time.sleep(0.02)  # the pace of the client: longer in all than it may stand still
    assert size > BIG


def test_a_silent_stream_is_not_cut(impatient: Served) -> None:
    stream = Stream(impatient.url, 1, 2.5)  # longer between two events than a client may take for anything
    stream.join(PATIENCE_S)
    assert stream.body.endswith(b'data: [DONE]\n\n')


class Stream(threading.Thread):
    """Reads a stream to its end."""

    def __init__(self, url: str, count: int, delay_s: float) -> None:
        super().__init__()
        self._url = f'{url}/stream?count={count}&delay={delay_s}'
        self.has_begun = threading.Event()
        self.body = b''
        self.start()
        assert self.has_begun.wait(PATIENCE_S)

    def run(self) -> None:
        """Reads."""
        with (requests.get(self._url, stream=True, timeout=PATIENCE_S) as response,
              contextlib.suppress(requests.exceptions.ChunkedEncodingError)):
            for piece in response.iter_content(None):
                self.body += piece
                self.has_begun.set()


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_on_a_signal_running_streams_finish_and_new_requests_are_refused(number: signal.Signals) -> None:
    with running() as server:
        streams = [Stream(server.url, 10, 0.1) for _ in range(5)]
        assert requests.get(f'{server.url}/ready', timeout=PATIENCE_S).status_code == 200
        server.process.send_signal(number)
        server.wait_for_line('draining')
        ready = requests.get(f'{server.url}/ready', timeout=PATIENCE_S)
        assert (ready.status_code, ready.json()) == (503, {'status': 'test'})
        refused = requests.post(f'{server.url}/echo', json={}, timeout=PATIENCE_S)
        assert (refused.status_code, refused.headers['Retry-After']) == (503, '5')
        assert refused.json()['error']['code'] == 'shutting_down'
        for stream in streams:
            stream.join(PATIENCE_S)
            assert stream.body.endswith(b'data: {"number":9}\n\ndata: [DONE]\n\n')
        assert server.process.wait(PATIENCE_S) == 0


def test_past_the_drain_timeout_streams_get_an_error_event() -> None:
    with running(drain_timeout_s=0.2) as server:
        stream = Stream(server.url, 1000, 1)
        started_s = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
        assert time.monotonic() - started_s < PATIENCE_S / 2
        stream.join(PATIENCE_S)
        *_, last = stream.body.decode().rstrip('\n').split('\n\n')
        assert json.loads(last.removeprefix('data: '))['error']['code'] == 'shutting_down'
        assert b'[DONE]' not in stream.body


def test_an_idle_server_ends_at_once() -> None:
    with running(drain_timeout_s=60) as server:
        with requests.Session() as session:  # a connection kept open is no request
            session.get(f'{server.url}/health', timeout=PATIENCE_S)
            started_s = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(PATIENCE_S) == 0
            assert time.monotonic() - started_s < PATIENCE_S / 2


def test_a_signal_that_does_not_wake_the_main_thread_is_heard() -> None:
    # So it is with one that comes in the moment before that thread begins to wait.
    with running(drain_timeout_s=60) as server:
        requests.get(f'{server.url}/signal', timeout=PATIENCE_S)
        assert server.process.wait(PATIENCE_S) == 0


def test_a_second_signal_ends_the_process_at_once() -> None:
    with running(drain_timeout_s=60) as server:
        stream = Stream(server.url, 100, 0.1)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_line('draining')
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 128 + signal.SIGTERM
        stream.join(PATIENCE_S)
        assert b'[DONE]' not in stream.body


def test_what_was_written_leaves_before_the_process_ends() -> None:
    with running() as server, socket.create_connection(('127.0.0.1', server.port), PATIENCE_S) as connection:
        connection.sendall(request('/big', method='GET', headers=CLOSE))
        received = connection.recv(65536)
        time.sleep(0.3)  # as much as fits waits in buffers, the rest in the server
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_line('draining')
        time.sleep(0.2)  # a client that reads late
        while piece := connection.recv(2 ** 20):
            received += piece
        assert len(received.partition(b'\r\n\r\n')[2]) == BIG
        assert server.process.wait(PATIENCE_S) == 0


def test_a_port_in_use_stops_the_start_with_one_line() -> None:
    with socket.create_server(('127.0.0.1', 0)) as taken:
        script = ('from sandle import app, server\n'
                  'lifecycle = app.Lifecycle()\n'
                  f'options = server.ServerOptions("127.0.0.1", {taken.getsockname()[1]}, 1000, 1, 1, 1)\n'
                  'server.serve(app.create_app("x", lifecycle), options, 2, lifecycle, lambda: None)\n')
        ended = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=60, cwd=ROOT,
                               check=False)
    assert ended.returncode != 0
    assert 'in use' in ended.stderr and 'Traceback' not in ended.stderr
