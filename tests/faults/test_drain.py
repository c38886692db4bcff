"""SIGTERM under load, and keys that change under load: what runs is not cut."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.rig import KEY, WRAPPER, Client, Server, error_of, events_of, manage_keys, wait_for
from tests.end_to_end.web_server import Nginx
from tests.faults.asking import Answer, ask_all
from tests.faults.conftest import Stack
from tests.faults.figures import Figures
from tests.faults.load import load

Own = Callable[..., Server]
ClientOf = Callable[..., Client]
StartNginx = Callable[[int], Nginx]

STREAMS = 40
STREAM = {'prompt': '!fault tokens=20 delay=0.1', 'max_tokens': 20, 'stream': True}
AS_PID_1 = ['unshare', '--pid', '--fork', '--kill-child']


def running(stack: Stack) -> int:
    """Returns how many requests the stub works on."""
    count: int = stack.direct.get('/faults').json()['running']
    return count


@pytest.mark.fault('SIGTERM')
@pytest.mark.parametrize('through', [[], AS_PID_1], ids=['like any process', 'as PID 1'])
def test_sigterm_under_load(own: Own, client_of: ClientOf, nginx: StartNginx, stack: Stack, figures: Figures,
                            through: list[str]) -> None:
    """In the original PID 1 did not hear of it."""
    if through and subprocess.run([*through, 'true'], capture_output=True, check=False).returncode:
        pytest.skip('as PID 1: that needs a process namespace, as root')
    wait_for(lambda: running(stack) == 0)
    wrapper = own(WRAPPER, '--backend', stack.stub.url, '-t', KEY, through=through)
    front, client = nginx(wrapper.port), client_of(wrapper)
    answers: list[Answer] = []
    users = threading.Thread(target=lambda: answers.extend(ask_all(front.url, [STREAM] * STREAMS)))
    users.start()
    wait_for(lambda: running(stack) == STREAMS)
    terminate(wrapper)
    name = 'PID 1: ' if through else ''
    figures.below(f'{name}/ready answers 503', wait_for(lambda: client.get('/ready').status_code == 503), 0.5)
    refused = client.complete()
    assert refused.status_code == 503 and int(refused.headers['Retry-After']) >= 1
    assert error_of(refused)['code'] == 'shutting_down'
    users.join()
    figures.exactly(f'{name}{STREAMS} streams under way: come to their end',
                    sum(answer.is_done for answer in answers), STREAMS)
    started_s = time.monotonic()
    figures.exactly(f'{name}exit status', wrapper.process.wait(10), 0)
    figures.below(f'{name}exit after the last of them', time.monotonic() - started_s, 3.0)


def terminate(server: Server) -> None:
    """Sends SIGTERM to a server, which may be the child of the command that runs it."""
    pid = server.process.pid
    children = Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    subprocess.run(['kill', '-TERM', *(children or [str(pid)])], check=True)


@pytest.mark.fault('SIGTERM')
def test_sigterm_past_the_grace_period(own: Own, client_of: ClientOf, stack: Stack, figures: Figures) -> None:
    wrapper = own(WRAPPER, '--backend', stack.stub.url, '-t', KEY, '--drain-timeout-s', '0.5')
    with client_of(wrapper).complete('!fault tokens=600 delay=0.05', max_tokens=600, stream=True) as response:
        pieces = response.iter_content(None)
        body = next(pieces)
        started_s = time.monotonic()
        wrapper.process.send_signal(signal.SIGTERM)
        body += b''.join(pieces)
    *_, last = events_of(body)
    assert isinstance(last['error'], dict)
    figures.exactly('past the grace period a stream ends with an error event', last['error']['code'], 'shutting_down')
    assert wrapper.process.wait(5) == 0
    figures.below('and the process with status 0, the grace period being 0.5 s here', time.monotonic() - started_s, 3.0)


@pytest.mark.fault('keys rotated under load')
def test_rotation(own: Own, nginx: StartNginx, stack: Stack, tmp_path: Path, figures: Figures) -> None:
    keys = [manage_keys(tmp_path, 'create', '--name', 'alice')]
    wrapper = own(WRAPPER, '--backend', stack.stub.url, '--state-dir', str(tmp_path), '--keys-reload-s', '0.2')
    users = [{'prompt': '!fault tokens=10 delay=0.02', 'max_tokens': 10, 'stream': True}] * 8
    with load(nginx(wrapper.port).url, users, key=lambda: keys[-1]) as answers:
        wait_for(lambda: len(answers) > 16, 30.0)
        for _ in range(3):
            new = manage_keys(tmp_path, 'rotate', 'alice', '--overlap', '1h')
            with_new = Client(wrapper.url, new)
            wait_for(lambda: with_new.get('/v1/models').status_code == 200)
            with_new.close()
            keys.append(new)
            count = len(answers)
            wait_for(lambda: len(answers) > count + 16, 30.0)
    figures.exactly(f'three rotations: of {len(answers)} streams, those that did not come to their end',
                    sum(not answer.is_done for answer in answers), 0)
