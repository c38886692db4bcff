"""Checks the containers of a running stack: `python3 -m tests.compose.check_containers stub|hf`. Ends by stopping it.

COMPOSE and the COMPOSE_… variables say which stack. Standard library only, so that any Python runs it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.compose.checks import run_all

SLIM_BASE_MB = 130  # python:3.11-slim-bookworm; the base at hand may be another
LARGEST_MB = 300


def output(*command: str) -> str:
    """Runs a command and returns what it printed. Raises CalledProcessError."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()


def compose(*arguments: str) -> str:
    """Runs docker-compose with the stack's settings."""
    return output(*os.environ['COMPOSE'].split(), *arguments)


class Container:
    """One service's container."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.id = compose('ps', '-q', service)
        assert self.id, f'{service} does not run'

    def inspect(self) -> Any:
        """Returns what Docker knows of it."""
        return json.loads(output('docker', 'inspect', self.id))[0]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Runs a shell command inside."""
        return subprocess.run(['docker', 'exec', self.id, 'sh', '-c', command], capture_output=True, text=True,
                              check=False, timeout=60)

    def addresses(self) -> list[str]:
        """Returns its addresses, one for each network."""
        return [network['IPAddress'] for network in self.inspect()['NetworkSettings']['Networks'].values()]


def check_rights(container: Container) -> None:
    assert container.run('id -u').stdout.strip() not in ('', '0'), 'runs as root'
    status = dict(line.split(':\t', 1) for line in container.run('cat /proc/self/status').stdout.splitlines()
                  if ':\t' in line)
    assert int(status['CapEff'], 16) == 0 and int(status['CapPrm'], 16) == 0, f'capabilities {status["CapEff"]}'
    assert status['NoNewPrivs'] == '1', 'may gain privileges'
    for folder in ('/', '/opt', '/etc', '/usr', '/var'):
        assert container.run(f'touch {folder}/written').returncode != 0, f'{folder} can be written to'
    assert container.inspect()['HostConfig']['ReadonlyRootfs'], 'the root file system is not read only'
    assert container.run('touch /tmp/written && rm /tmp/written').returncode == 0, '/tmp cannot be written to'
    size = container.run('df -k /tmp | tail -n 1').stdout.split()[1]
    assert int(size) <= 300 * 1024, f'/tmp may grow to {size} KiB'


def check_descriptors(container: Container) -> None:
    limits = container.run('for process in /proc/[0-9]*; do case $(cat $process/comm) in '
                           'python*) grep "Max open files" $process/limits; break; esac; done').stdout.split()
    soft, hard = limits[3:5]
    assert int(soft) >= min(65536, int(hard)), f'{soft} descriptors of {hard}'


def check_ports(containers: list[Container]) -> None:
    published = {container.service for container in containers
                 if any(container.inspect()['NetworkSettings']['Ports'].values())}
    assert published == {'demo'}, f'published: {sorted(published)}'


def check_health(containers: list[Container]) -> None:
    deadline_s = time.monotonic() + 60
    waiting = containers
    while waiting and time.monotonic() < deadline_s:
        waiting = [container for container in waiting if container.inspect()['State']['Health']['Status'] != 'healthy']
        time.sleep(1 if waiting else 0)
    assert not waiting, ', '.join(f'{each.service}: {each.inspect()["State"]["Health"]["Status"]}' for each in waiting)
    restarts = {container.service: container.inspect()['RestartCount'] for container in containers}
    assert not any(restarts.values()), f'restarts: {restarts}'


def check_networks(demo: Container, wrapper: Container, backend: Container) -> None:
    fetch = 'curl -sS -o /dev/null --max-time 3 http://{}:8000/health'
    assert demo.run(fetch.format('openai-wrapper')).returncode == 0, 'nginx does not reach the wrapper'
    for address in (backend.service, *backend.addresses()):
        assert demo.run(fetch.format(address)).returncode != 0, f'nginx reaches the backend at {address}'
    python = 'python -c "import socket; socket.create_connection((\'{}\', 8000), 3)"'
    assert wrapper.run(python.format(backend.service)).returncode == 0, 'the wrapper does not reach the backend'


def check_small(container: Container) -> None:
    assert container.run('python -c "import torch"').returncode != 0, 'torch is in the image'
    size, base = (sum(int(layer) for layer in output('docker', 'history', '--human=false', '--format', '{{.Size}}',
                                                     image).split())
                  for image in (container.inspect()['Image'], 'python:3.11-slim-bookworm'))
    own_mb = (size - base) / 1e6
    print(f'   {container.service}: {own_mb:.0f} MB over its base', flush=True)
    assert own_mb + SLIM_BASE_MB < LARGEST_MB, f'{own_mb:.0f} MB over its base'


def check_stop(containers: list[Container]) -> None:
    began_s = time.monotonic()
    compose('stop')
    took_s = time.monotonic() - began_s
    codes = {container.service: container.inspect()['State']['ExitCode'] for container in containers}
    assert not any(codes.values()), f'exit codes: {codes}'
    assert took_s < 30, f'{took_s:.0f} s'


def main() -> int:
    """Runs the checks; stopping comes last."""
    backend = Container(f'backend-{sys.argv[1]}')
    demo, wrapper = Container('demo'), Container('openai-wrapper')
    containers = [demo, wrapper, backend]
    small = [each for each in containers if each.service in ('openai-wrapper', 'backend-stub')]
    checks: list[tuple[str, Callable[[], object]]] = [
        (f'{each.service} has no rights it does not need', partial(check_rights, each)) for each in containers]
    checks += [(f'{each.service} has enough file descriptors', partial(check_descriptors, each))
               for each in (wrapper, backend)]
    checks += [(f'{each.service} is small', partial(check_small, each)) for each in small]
    checks += [('only nginx publishes a port', partial(check_ports, containers)),
               ('everything is healthy and was never restarted', partial(check_health, containers)),
               ('nginx cannot reach the backend', partial(check_networks, demo, wrapper, backend)),
               ('everything stops cleanly', partial(check_stop, containers))]
    return run_all(checks)


if __name__ == '__main__':
    sys.exit(main())
