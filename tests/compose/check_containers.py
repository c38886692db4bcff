"""Checks the containers of a running stack: `python3 -m tests.compose.check_containers SERVICE...`, demo being first.

COMPOSE and the COMPOSE_… variables say which stack. Standard library only, so that any Python runs it.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial

from tests.compose.checks import run_all
from tests.compose.containers import Container, containers_of, output

SLIM_BASE_MB = 130  # python:3.11-slim-bookworm; the base at hand may be another
LARGEST_MB = {'openai-wrapper': 300, 'backend-stub': 300, 'backend-ct2': 600}  # of those without PyTorch


def check_rights(container: Container) -> None:
    assert container.run('id -u').stdout.strip() not in ('', '0'), 'runs as root'
    status = dict(line.split(':\t', 1) for line in container.run('cat /proc/self/status').stdout.splitlines()
                  if ':\t' in line)
    # The bounding set, too: a user without privileges has none of the others anyway.
    capabilities = {name: status[name] for name in ('CapEff', 'CapPrm', 'CapInh', 'CapBnd')}
    assert not any(int(value, 16) for value in capabilities.values()), f'capabilities: {capabilities}'
    assert status['NoNewPrivs'] == '1', 'may gain privileges'
    for folder in ('/', '/opt', '/etc', '/usr', '/var'):
        assert container.run(f'touch {folder}/written').returncode != 0, f'{folder} can be written to'
    settings = container.inspect()['HostConfig']
    assert settings['ReadonlyRootfs'], 'the root file system is not read only'
    assert 0 < (settings['PidsLimit'] or 0) <= 4096, f'processes are bounded to {settings["PidsLimit"]}'
    assert not settings['Privileged'] and not settings['Devices'], 'it sees devices'
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
        time.sleep(1 if waiting else 0)  # between two looks
    assert not waiting, ', '.join(f'{each.service}: {each.inspect()["State"]["Health"]["Status"]}' for each in waiting)
    restarts = {container.service: container.inspect()['RestartCount'] for container in containers}
    assert not any(restarts.values()), f'restarts: {restarts}'


def check_networks(demo: Container, wrapper: Container, backend: Container) -> None:
    fetch = 'curl -sS -o /dev/null --max-time 3 http://{}:8000/health'
    assert demo.run(fetch.format('openai-wrapper')).returncode == 0, 'nginx does not reach the wrapper'
    for address in (backend.service, *backend.networks().values()):
        assert demo.run(fetch.format(address)).returncode != 0, f'nginx reaches the backend at {address}'
    python = 'python -c "import socket; socket.create_connection((\'{}\', 8000), 3)"'
    assert wrapper.run(python.format(backend.service)).returncode == 0, 'the wrapper does not reach the backend'
    networks = json.loads(output('docker', 'network', 'inspect', *wrapper.networks()))
    ways_out = [network['Name'] for network in networks if not network['Internal']]
    assert not ways_out, f'the wrapper has a way out by {ways_out}'


def check_first_process(container: Container) -> None:
    """An image run without compose, whose `init: true` is missing then, must heed `docker stop`, too."""
    once = output('docker', 'run', '--detach', '--network', 'none', '--env', 'SANDLE_BACKEND_STUB=http://127.0.0.1:1',
                  container.inspect()['Image'])
    try:
        deadline_s = time.monotonic() + 60
        while 'listening on' not in output('sh', '-c', f'docker logs {once} 2>&1'):
            assert time.monotonic() < deadline_s, 'it did not start'
            time.sleep(0.1)  # between two looks
        began_s = time.monotonic()
        output('docker', 'stop', '--time', '20', once)
        code = json.loads(output('docker', 'inspect', once))[0]['State']['ExitCode']
        assert code == 0 and time.monotonic() - began_s < 10, f'exit code {code}'
    finally:
        output('docker', 'rm', '--force', once)


def check_small(container: Container) -> None:
    assert container.run('python -c "import torch"').returncode != 0, 'torch is in the image'
    size, base = (sum(int(layer) for layer in output('docker', 'history', '--human=false', '--format', '{{.Size}}',
                                                     image).split())
                  for image in (container.inspect()['Image'], 'python:3.11-slim-bookworm'))
    own_mb = (size - base) / 1e6
    print(f'   {container.service}: {own_mb:.0f} MB over its base', flush=True)
    assert own_mb + SLIM_BASE_MB < LARGEST_MB[container.service], f'{own_mb:.0f} MB over its base'


def main() -> int:
    """Runs the checks."""
    containers = [containers_of(service)[0] for service in sys.argv[1:]]
    by_name = {container.service: container for container in containers}
    demo, wrapper = by_name['demo'], by_name['openai-wrapper']
    (backend,) = [each for each in containers if each.service.startswith('backend-')]
    small = [each for each in (wrapper, backend) if each.service in LARGEST_MB]
    with_health = [demo, wrapper, backend]
    checks: list[tuple[str, Callable[[], object]]] = [
        (f'{each.service} has no rights it does not need', partial(check_rights, each)) for each in containers]
    checks += [(f'{each.service} has enough file descriptors', partial(check_descriptors, each))
               for each in (wrapper, backend)]
    checks += [(f'{each.service} is small', partial(check_small, each)) for each in small]
    checks += [(f'{each.service} stops as process 1', partial(check_first_process, each)) for each in small]
    checks += [('only nginx publishes a port', partial(check_ports, containers)),
               ('everything is healthy and was never restarted', partial(check_health, with_health)),
               ('nginx cannot reach the backend, and the wrapper has no way out',
                partial(check_networks, demo, wrapper, backend))]
    return run_all(checks)


if __name__ == '__main__':
    sys.exit(main())
