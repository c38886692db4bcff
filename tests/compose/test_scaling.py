"""Nothing in the compose files stands in the way of several containers for one backend."""

import pathlib
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = sorted(ROOT.glob('docker-compose*.yml'))
IN_FRONT = {'demo', 'certbot'}  # what the world can reach, of which there is one


def services() -> dict[str, list[dict[str, Any]]]:
    """Returns what all files say of each service."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in FILES:
        for name, service in (yaml.safe_load(path.read_text('utf-8')).get('services') or {}).items():
            found.setdefault(name, []).append(service)
    return found


@pytest.mark.parametrize('name', sorted(services().keys() - IN_FRONT))
def test_service_can_be_scaled(name: str) -> None:
    for service in services()[name]:
        assert not service.keys() & {'container_name', 'hostname', 'mac_address', 'ports', 'network_mode'}
        networks = service.get('networks') or []
        assert isinstance(networks, list) or not any(settings for settings in networks.values())
