"""What every container is denied, as the compose files say; check_containers.py looks at running ones."""

import pathlib
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = [yaml.safe_load(path.read_text('utf-8')) for path in sorted(ROOT.glob('docker-compose*.yml'))]
# A service is made by one file; the others add to it.
SERVICES: dict[str, dict[str, Any]] = {
    name: service for file in FILES for name, service in (file.get('services') or {}).items()
    if service.keys() & {'build', 'image'} and 'init' in service}
EVERY_NAME = {name for file in FILES for name in file.get('services') or {}}
WRITABLE = {'backend-vllm'}  # it compiles kernels as it needs them, into several places, and runs them from there


@pytest.mark.parametrize('name', sorted(EVERY_NAME))
def test_service_has_no_rights_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service['cap_drop'] == ['ALL']
    assert service['security_opt'] == ['no-new-privileges:true']
    assert 0 < service['pids_limit'] <= 8192
    assert service['init'] is True and service['restart'] == 'unless-stopped'
    if name not in WRITABLE:
        assert service['read_only'] is True and all(':size=' in each for each in service['tmpfs'])


def test_nothing_is_added_to_those_rights() -> None:
    forbidden = {'privileged', 'cap_add', 'devices', 'network_mode', 'pid', 'ipc', 'userns_mode'}
    for file in FILES:
        for name, service in (file.get('services') or {}).items():
            assert not service.keys() & forbidden, name
            assert name == 'demo' or 'ports' not in service, name
            assert not any('docker.sock' in str(volume) for volume in service.get('volumes') or []), name


def test_networks_have_a_way_out_where_it_is_needed() -> None:
    networks = {name: settings for file in FILES for name, settings in (file.get('networks') or {}).items()}
    ways_out = {name for name, settings in networks.items() if not (settings or {}).get('internal')}
    # nginx's, the certificate authority's, and that of errors and traces; the downloads' is closed on demand.
    assert ways_out <= {'edge', 'acme', 'telemetry'}
    assert all(networks[name]['internal'] is True for name in networks if name == 'mid' or name.startswith('backend-'))
