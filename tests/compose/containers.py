"""The stack's containers as Docker knows them; COMPOSE and the COMPOSE_… variables say which stack.

Standard library only, so that any Python runs it.
"""

import json
import os
import subprocess
from typing import Any


def output(*command: str) -> str:
    """Runs a command and returns what it printed. Raises CalledProcessError."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()


def compose(*arguments: str) -> str:
    """Runs docker-compose with the stack's settings."""
    return output(*os.environ['COMPOSE'].split(), *arguments)


class Container:
    """A container of one service."""

    def __init__(self, service: str, container_id: str) -> None:
        self.service = service
        self.id = container_id

    def inspect(self) -> Any:
        """Returns what Docker knows of it."""
        return json.loads(output('docker', 'inspect', self.id))[0]

    def run(self, command: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a shell command inside, with `given` as its standard input."""
        return subprocess.run(['docker', 'exec', '-i', self.id, 'sh', '-c', command], input=given or '', text=True,
                              capture_output=True, check=False, timeout=60)

    def networks(self) -> dict[str, str]:
        """Returns its address in each network."""
        return {name: network['IPAddress'] for name, network in self.inspect()['NetworkSettings']['Networks'].items()}


def containers_of(service: str) -> list[Container]:
    """Returns the running containers of a service, at least one."""
    found = [Container(service, container_id) for container_id in compose('ps', '-q', service).split()]
    assert found, f'{service} does not run'
    return found
