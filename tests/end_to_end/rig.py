"""Starts the real scripts as processes and talks to them over HTTP."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
STUB = 'backend-stub/serve-backend-stub.py'
WRAPPER = 'openai-wrapper/serve-openai-wrapper.py'
KEY = 'sk-e2e_key-with-dashes_and_underscores'
START_TIMEOUT_S = 120.0  # a busy machine takes long to import torch
ANSWER_S = 120.0  # many tests may run at once


class Server:
    """A script that runs, with everything it has written."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.url = ''
        self._lines: list[str] = []
        self._listens = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_it_listens(self) -> None:
        """Waits until it says where it listens. Fails when it ends instead."""
        if not self._listens.wait(START_TIMEOUT_S) or not self.url:
            raise AssertionError(f'it did not start: {self.output}')

    @property
    def output(self) -> str:
        """What it has written so far, to standard output and error."""
        return ''.join(self._lines)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(':')[2])

    def stop(self, number: int = signal.SIGKILL) -> int:
        """Sends a signal and returns the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(START_TIMEOUT_S)
        self._reader.join()
        return status

    def kill(self) -> None:
        """Ends it, if it has not ended yet, and reads the last that it wrote."""
        self.process.kill()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)
            if match := re.search(r'listening on (http://[\w.:\[\]-]+)', line):
                self.url = match[1]
                self._listens.set()
        self._listens.set()


@contextlib.contextmanager
def serve(script: str, *arguments: str, port: int = 0, environment: Mapping[str, str] | None = None,
          through: Sequence[str] = ()) -> Iterator[Server]:
    """Runs a script of the repository from another folder, and kills it at the end.

    `through` is a command that runs the one that follows it, and ends with it.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(('SANDLE_', 'SENTRY_', 'OTEL_'))}
    process = subprocess.Popen(
        [*through, sys.executable, str(ROOT / script), '--port', str(port), *arguments], text=True, cwd='/',
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**clean, **(environment or {}), 'PYTHONUNBUFFERED': '1'})
    with process:
        server = Server(process)
        try:
            server.wait_until_it_listens()
            yield server
        finally:
            server.kill()


def fails_to_start(script: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Runs a script that must stop by itself with an error, and returns what it says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(('SANDLE_', 'SENTRY_', 'OTEL_'))}
    done = subprocess.run([sys.executable, str(ROOT / script), '--port', '0', *arguments], capture_output=True,
                          text=True, timeout=START_TIMEOUT_S, env={**clean, **(environment or {})}, check=False)
    assert done.returncode not in (0, -signal.SIGKILL)
    return done.stdout + done.stderr


def manage_keys(folder: Path, *arguments: str) -> str:
    """Runs a `keys` command of the wrapper and returns what it printed."""
    done = subprocess.run([sys.executable, str(ROOT / WRAPPER), 'keys', *arguments, '--state-dir', str(folder)],
                          check=True, capture_output=True, text=True, timeout=START_TIMEOUT_S)
    return done.stdout.strip()


class Client:
    """Asks a server for things, with a key unless told otherwise."""

    def __init__(self, url: str, key: str | None = KEY) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        if key is not None:
            self._session.headers['Authorization'] = f'Bearer {key}'

    def get(self, path: str, **options: object) -> requests.Response:
        """Sends a GET request."""
        return self._session.get(self.url + path, timeout=ANSWER_S, **options)  # type: ignore[arg-type]  # as its own

    def post(self, path: str, **options: object) -> requests.Response:
        """Sends a POST request."""
        return self._session.post(self.url + path, timeout=ANSWER_S, **options)  # type: ignore[arg-type]  # as its own

    def complete(self, prompt: object = 'Hello', **fields: object) -> requests.Response:
        """Asks for a completion of the model `stub`."""
        return self.post('/v1/completions', json={'model': 'stub', 'prompt': prompt, **fields},
                         stream=bool(fields.get('stream')))

    def close(self) -> None:
        """Closes its connections."""
        self._session.close()


def error_of(response: requests.Response) -> dict[str, object]:
    """Returns the error of a response, which must have the API's shape and a request id."""
    assert response.headers['Content-Type'] == 'application/json' and response.headers['x-request-id']
    assert 'Traceback' not in response.text and not response.history
    body = response.json()
    assert set(body) == {'error'} and set(body['error']) == {'message', 'type', 'param', 'code'}
    error: dict[str, object] = body['error']
    return error


def events_of(body: bytes) -> list[dict[str, object]]:
    """Returns the JSON events of a stream."""
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b'data: {')]


def quickest(ask: Callable[[], requests.Response]) -> float:
    """Returns the least seconds of three tries, each of which must succeed: a busy machine may be slow now and then."""
    responses = [ask() for _ in range(3)]
    assert all(response.status_code == 200 for response in responses)
    return min(response.elapsed.total_seconds() for response in responses)


def raw(port: int, data: bytes, timeout_s: float = 10.0) -> bytes:
    """Sends bytes as they are and returns all that comes until the server closes or falls silent."""
    answer = b''
    with socket.create_connection(('127.0.0.1', port), timeout=timeout_s) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(data)
        sock.settimeout(1.0)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while more := sock.recv(65536):
                answer += more
    return answer


def request_bytes(body: bytes, *headers: str, path: str = '/v1/completions', key: str | None = KEY,
                  content_type: str | None = 'application/json') -> bytes:
    """Returns a POST request on the wire, which closes its connection."""
    lines = [f'POST {path} HTTP/1.1', 'Host: x', 'Connection: close', *headers]
    if key is not None:
        lines.append(f'Authorization: Bearer {key}')
    if content_type is not None:
        lines.append(f'Content-Type: {content_type}')
    if not any(header.lower().startswith(('content-length', 'transfer-encoding')) for header in headers):
        lines.append(f'Content-Length: {len(body)}')
    return '\r\n'.join(lines).encode() + b'\r\n\r\n' + body


def wait_for(condition: Callable[[], bool], timeout_s: float = 5.0) -> float:
    """Waits until a condition holds and returns the seconds it took. Fails when it does not come about in time."""
    started_s = time.monotonic()
    while not condition():
        assert time.monotonic() - started_s < timeout_s, f'it did not come about within {timeout_s} s'
        time.sleep(0.01)  # between two looks
    return time.monotonic() - started_s
