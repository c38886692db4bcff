"""run-local.bash as a user runs it: from another folder, in a terminal of its own, ended by Ctrl+C.

Needs what `run-local.bash --setup-only` makes. Every process runs with the stub, so no model is loaded.
"""

import contextlib
import http.client
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRIPT = ROOT / 'run-local.bash'
START_LIMIT_S = 60
KEY = 'a-key_for-the_test'

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not (ROOT / '.venv' / '.stamp-base').exists(),
                                                  reason='run-local.bash --setup-only has not been run')]


def environment(port: int, **settings: str) -> dict[str, str]:
    """Returns the environment of a run, free of the SANDLE_… variables of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith('SANDLE_')}
    return {**kept, 'SANDLE_BACKEND': 'stub', 'SANDLE_DEMO_PORT': str(port), 'SANDLE_AUTH_TOKEN': KEY, **settings}


def free_port() -> int:
    """Returns a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        port: int = listener.getsockname()[1]
        return port


def interruptible() -> None:
    """Lets Ctrl+C work as in any terminal: tests may have been started where it is ignored, as in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Run:
    """run-local.bash in a terminal of its own."""

    def __init__(self, **settings: str) -> None:
        self.port = free_port()
        self.output = ''
        self.terminal, end = pty.openpty()
        self.process = subprocess.Popen(['bash', str(SCRIPT)], cwd='/', env=environment(self.port, **settings),
                                        stdin=end, stdout=end, stderr=end, start_new_session=True,
                                        preexec_fn=interruptible)
        os.close(end)

    def read_until(self, pattern: str, limit_s: float = START_LIMIT_S) -> None:
        """Reads what the script prints until it holds `pattern`."""
        deadline_s = time.monotonic() + limit_s
        while not re.search(pattern, self.output):
            assert time.monotonic() < deadline_s, f'no {pattern!r} in:\n{self.output}'
            if select.select([self.terminal], [], [], 0.2)[0]:
                try:
                    self.output += os.read(self.terminal, 65536).decode()
                except OSError:  # the other end is closed
                    assert re.search(pattern, self.output), f'ended without {pattern!r}:\n{self.output}'

    def open(self, method: str, path: str, body: object = None) -> http.client.HTTPResponse:
        """Sends a request with the key. Close what this returns."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
        connection.request(method, path, None if body is None else json.dumps(body),
                           {'Authorization': f'Bearer {KEY}', 'Content-Type': 'application/json',
                            'Connection': 'close'})
        return connection.getresponse()

    def children(self) -> list[int]:
        """Returns the process ids of the script's children."""
        found = subprocess.run(['ps', '-o', 'pid=', '--ppid', str(self.process.pid)], capture_output=True, text=True,
                               check=False)
        return [int(pid) for pid in found.stdout.split()]

    def close(self) -> None:
        """Ends what is left, for a test that failed."""
        for pid in [*self.children(), self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.terminal)


@contextlib.contextmanager
def running(**settings: str) -> Iterator[Run]:
    """Starts the script, waits until it is ready, and leaves no process behind."""
    run = Run(**settings)
    try:
        run.read_until('Ctrl\\+C ends everything')
        yield run
    finally:
        run.close()


def is_there(pid: int) -> bool:
    """Whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def has_nginx() -> bool:
    """Whether nginx is installed where run-local.bash looks for it."""
    return shutil.which('nginx', path=f'{os.environ["PATH"]}:/usr/sbin:/usr/local/sbin:/sbin') is not None


@pytest.mark.parametrize('front', ['wrapper', pytest.param('nginx', marks=pytest.mark.skipif(
    not has_nginx(), reason='nginx is not installed'))])
def test_run_local_serves_page_and_api_and_ctrl_c_ends_it_without_cutting_a_stream(front: str) -> None:
    if not (ROOT / 'demo' / 'dist' / 'index.html').exists():
        pytest.skip('the page was not built')
    with running(SANDLE_FRONT=front, SANDLE_NUM_TOKENS='30', SANDLE_TOKEN_DELAY_S='0.05') as run:
        assert f'http://127.0.0.1:{run.port}/' in run.output and KEY in run.output
        for path in ('/', '/docs/'):
            with run.open('GET', path) as page:
                assert page.status == 200 and page.headers['Content-Type'].startswith('text/html')
        children = run.children()
        assert len(children) >= (3 if front == 'nginx' else 2)
        body = {'model': 'stub', 'prompt': 'a', 'max_tokens': 30, 'stream': True}
        with run.open('POST', '/v1/completions', body) as stream:
            assert stream.readline().startswith(b'data: ')
            os.write(run.terminal, b'\x03')
            assert stream.read().endswith(b'data: [DONE]\n\n')
        assert run.process.wait(timeout=20) == 0
        assert not [pid for pid in children if is_there(pid)]


def test_run_local_ends_when_a_part_of_it_ends() -> None:
    with running(SANDLE_FRONT='wrapper') as run:
        children = run.children()
        backend = next(pid for pid in children
                       if 'serve-backend' in pathlib.Path(f'/proc/{pid}/cmdline').read_text())
        os.kill(backend, signal.SIGKILL)
        run.read_until('a part of the stack has ended')
        assert run.process.wait(timeout=20) == 1
        assert not [pid for pid in children if is_there(pid)]


def test_run_local_says_in_one_line_that_a_port_is_taken() -> None:
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen()
        port = listener.getsockname()[1]
        done = subprocess.run(['bash', str(SCRIPT)], env=environment(port), capture_output=True, text=True, timeout=120,
                              check=False)
    assert done.returncode == 1
    assert f'port {port} of 127.0.0.1 cannot be used' in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(('name', 'value'), [
    ('SANDLE_DEMO_PORT', '99999'), ('SANDLE_DEMO_PORT', 'http'), ('SANDLE_BACKEND', 'other'), ('SANDLE_FRONT', 'other'),
    ('SANDLE_AUTH_TOKEN', '')])
def test_run_local_refuses_a_bad_setting_by_its_name(name: str, value: str) -> None:
    done = subprocess.run(['bash', str(SCRIPT)], env=environment(1, **{name: value}), capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and name in done.stderr
