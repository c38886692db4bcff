"""Checks what a stack does under load: `python3 -m tests.compose.check_load URL BACKEND`. Ends by stopping it.

With the stub, whose `--faults` set the pace, one of two replicas is killed first. Standard library only.
"""

import http.client
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

from tests.compose.check_http import STORY, Stack
from tests.compose.checks import run_all
from tests.compose.containers import Container, compose, containers_of, output

STREAMS = 20
USERS = 12


class Users:
    """Clients that ask, each again and again, until they are told to leave."""

    def __init__(self, stack: Stack, backend: str) -> None:
        self._stack = stack
        self._body = body_of(stack, backend, tokens=5, stream=False)
        self._leave = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(USERS)]
        self.answered = 0
        self.refused: list[str] = []

    def _ask(self) -> None:
        while not self._leave.is_set():
            try:
                with self._stack.open('POST', '/v1/completions', self._body) as response:
                    content = response.read()
                if response.status != 200:
                    self.refused.append(f'{response.status} {content[:200]!r}')
            except (OSError, http.client.HTTPException) as error:
                self.refused.append(repr(error))
            self.answered += 1

    def __enter__(self) -> 'Users':
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        for thread in self._threads:
            thread.join()


class Streams:
    """Streams that are read to their end, however it comes."""

    def __init__(self, stack: Stack, backend: str, tokens: int) -> None:
        self._stack = stack
        self._body = body_of(stack, backend, tokens, stream=True)
        self._threads = [threading.Thread(target=self._read) for _ in range(STREAMS)]
        self.begun = 0
        self.ends: list[str] = []

    def start(self) -> None:
        """Starts all of them and waits until each has begun."""
        for thread in self._threads:
            thread.start()
        wait_for(lambda: self.begun == STREAMS, 'the streams did not begin')

    def join(self) -> None:
        """Waits for their ends."""
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        last = ''
        try:
            with self._stack.open('POST', '/v1/completions', self._body) as response:
                for line in response:
                    if line.startswith(b'data: '):
                        self.begun += not last
                        last = line[6:].decode().strip()
        except (OSError, http.client.HTTPException) as error:
            last = repr(error)
        self.ends.append(last)


def body_of(stack: Stack, backend: str, tokens: int, stream: bool) -> dict[str, object]:
    """Returns a request whose answer takes the stub 0.1 s a token, and a model what it takes."""
    prompt = f'!fault tokens={tokens} delay=0.1' if backend == 'stub' else STORY
    return {'model': stack.model, 'prompt': prompt, 'max_tokens': tokens, 'ignore_eos': True, 'stream': stream}


def wait_for(condition: Callable[[], bool], otherwise: str, timeout_s: float = 60) -> None:
    """Waits until a condition holds."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, otherwise
        time.sleep(0.1)  # between two looks


def is_at_work(container: Container) -> bool:
    return 'reason=' in output('sh', '-c', f'docker logs --since 10s {container.id} 2>&1')


def check_replica(stack: Stack) -> None:
    two = 'up', '-d', '--no-recreate', '--scale', 'backend-stub=2', 'backend-stub'
    compose(*two)
    replicas = containers_of('backend-stub')
    assert len(replicas) == 2
    with Users(stack, 'stub') as users:
        wait_for(lambda: all(map(is_at_work, replicas)), 'only one of the two gets requests')
        output('docker', 'kill', replicas[0].id)
        killed = users.answered
        wait_for(lambda: users.answered > killed + 100, 'there are no more answers')
        compose(*two)  # the killed one again
    print(f'   {users.answered} answers, {len(users.refused)} of them errors', flush=True)
    assert not users.refused, users.refused[:3]


def check_stop(stack: Stack, backend: str, containers: list[Container]) -> None:
    streams = Streams(stack, backend, tokens=100 if backend == 'stub' else 400)
    streams.start()
    running = STREAMS - len(streams.ends)
    began_s = time.monotonic()
    compose('stop')
    took_s = time.monotonic() - began_s
    streams.join()
    print(f'   {running} streams were running; it took {took_s:.1f} s', flush=True)
    assert streams.ends == ['[DONE]'] * STREAMS, [end for end in streams.ends if end != '[DONE]'][:3]
    assert backend != 'stub' or running == STREAMS, 'they had ended before'
    codes = {container.service: container.inspect()['State']['ExitCode'] for container in containers}
    assert not any(codes.values()), f'exit codes: {codes}'
    assert took_s < 40, f'{took_s:.0f} s'


def main() -> int:
    """Runs the checks; stopping comes last."""
    backend = sys.argv[2]
    stack = Stack(sys.argv[1], backend, os.environ['SANDLE_AUTH_TOKEN'])
    stack.model = {'stub': 'stub', 'hf': 'sandle-tiny', 'llama': 'llama', 'ct2': 'ct2'}[backend]
    checks: list[tuple[str, Callable[[], object]]] = []
    if backend == 'stub':
        checks.append(('a replica is killed under load, and nobody notices', partial(check_replica, stack)))
    services = compose('ps', '--services').split()
    containers = [container for service in services for container in containers_of(service)]
    checks.append(('everything stops, and no stream is cut', partial(check_stop, stack, backend, containers)))
    return run_all(checks)


if __name__ == '__main__':
    sys.exit(main())
