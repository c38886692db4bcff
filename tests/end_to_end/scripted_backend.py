"""Backends on real sockets that do what a test scripts, and what unit tests of the wrapper say again and again."""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from werkzeug.test import TestResponse

KEY = 'test-key'
AUTHORIZED = {'Authorization': f'Bearer {KEY}'}


@dataclass(frozen=True)
class Received:
    """A request as a backend got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Script = Callable[[socket.socket, Received], None]


class Answer:
    """A script: one whole response, after which the connection stays open."""

    def __init__(self, body: bytes | str, status: int = 200, content_type: str = 'application/json',
                 headers: str = '') -> None:
        content = body.encode() if isinstance(body, str) else body
        self._bytes = (f'HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(content)}\r\n'
                       f'{headers}\r\n').encode() + content

    def __call__(self, sock: socket.socket, request: Received) -> None:
        sock.sendall(self._bytes)


CHUNKED = 'Transfer-Encoding: chunked\r\n'
CHUNKED_THEN_CLOSE = f'{CHUNKED}Connection: close\r\n'  # as waitress sends it


def stream_head(framing: str = CHUNKED) -> bytes:
    """Returns the head of a stream of events."""
    return f'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n'.encode()


def chunk(data: bytes) -> bytes:
    """Returns data in chunked encoding."""
    return b'%x\r\n%s\r\n' % (len(data), data)


class Upstream:
    """A backend on a real socket. `scripts` are by path; `models` are what it lists."""

    def __init__(self, host: str = '127.0.0.1', port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.received: list[Received] = []
        self.client_left = threading.Event()
        self.connection_count = 0
        self.scripts: dict[str, Script] = {'/ready': Answer('{"status": "ready"}')}
        self.list_models({'id': 'm'})
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server((host, port), family=socket.AF_INET6 if ':' in host else socket.AF_INET)
        self.port: int = self._listener.getsockname()[1]
        self.url = f'http://[{host}]:{self.port}' if ':' in host else f'http://{host}:{self.port}'
        threading.Thread(target=self._accept, daemon=True).start()

    def list_models(self, *models: object) -> None:
        """Sets the listing."""
        self.scripts['/v1/models'] = Answer(json.dumps({'object': 'list', 'data': models}))

    def on_completion(self, script: Script) -> None:
        """Sets the answer to completions."""
        self.scripts['/v1/completions'] = script

    def completions(self) -> list[Received]:
        """Returns the completion requests so far."""
        return [request for request in self.received if request.path == '/v1/completions']

    def wait_until_client_leaves(self, sock: socket.socket, _: Received | None = None) -> None:
        """A script: says nothing until the connection is closed from the other side."""
        with contextlib.suppress(OSError):
            while sock.recv(1024):
                pass
        self.client_left.set()

    def close(self) -> None:
        """Ends the backend as if it had been killed."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connection_count += 1
                self._sockets.add(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), (sock if self._tls is None else self._tls.wrap_socket(
                sock, server_side=True)) as sock:
            while (request := read_request(sock)) is not None:
                self.received.append(request)
                script = self.scripts.get(request.path, Answer('{}', 404))
                script(sock, request)
                if not isinstance(script, Answer):
                    break
        self._sockets.discard(sock)


def read_request(sock: socket.socket) -> Received | None:
    """Reads one request; None when the connection ends."""
    data = b''
    while b'\r\n\r\n' not in data:
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b'\r\n\r\n')
    first, *lines = head.decode('latin-1').split('\r\n')
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(':') for line in lines)}
    while len(body) < int(headers.get('content-length', 0)):
        body += sock.recv(65536)
    method, path, _ = first.split(' ')
    return Received(method, path, headers, body)


def completion(**fields: object) -> dict[str, object]:
    """Returns the arguments of a test client's post for a completion."""
    return {'json': {'model': 'm', 'prompt': 'Hello', **fields}, 'headers': AUTHORIZED}


def error_of(response: TestResponse) -> dict[str, object]:
    """Returns the error of a response, which must have the API's shape."""
    body = response.get_json()
    assert set(body) == {'error'} and set(body['error']) == {'message', 'type', 'param', 'code'}
    assert 'x-request-id' in response.headers
    error: dict[str, object] = body['error']
    return error


def wait_for(condition: Callable[[], bool], timeout_s: float = 3.0) -> bool:
    """Waits until a condition holds; returns whether it came about in time."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.01)  # between two looks
    return True
