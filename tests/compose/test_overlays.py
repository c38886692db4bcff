"""What every compose file keeps to, read as YAML; tests/compose/check.bash looks at running containers."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.peers.compose_command import command_of

ROOT = Path(__file__).parents[2]
FILES = {path.name: yaml.safe_load(path.read_text('utf-8')) for path in sorted(ROOT.glob('docker-compose*.yml'))}
BACKENDS = [re.sub(r'docker-compose\.(.*)\.yml', r'\1', name) for name in FILES if '.backend-' in name]
GIVEN = {'SANDLE_VLLM_MODEL': 'org/model', 'SANDLE_LLAMA_BIND_SRC_DIR': '/tmp'}


def overlay(backend: str) -> Any:
    """Returns a backend's compose file."""
    return FILES[f'docker-compose.{backend}.yml']


@pytest.mark.parametrize('backend', BACKENDS)
def test_backend_is_shared_with_the_wrapper_alone(backend: str) -> None:
    services, networks = overlay(backend)['services'], overlay(backend)['networks']
    assert services.keys() == {'openai-wrapper', backend}
    assert services['openai-wrapper']['networks'] == [backend] and networks[backend] == {'internal': True}
    assert backend in services[backend]['networks'] and not services[backend].get('ports')
    assert [line for line in services['openai-wrapper']['environment'] if line.endswith(f'=http://{backend}:8000')]
    mentions = [name for name, content in FILES.items() if backend in content.get('networks', {})]
    assert mentions == [f'docker-compose.{backend}.yml']


@pytest.mark.parametrize('backend', BACKENDS)
def test_backend_has_no_rights_that_it_does_not_need(backend: str) -> None:
    service = overlay(backend)['services'][backend]
    assert (service['cap_drop'], service['security_opt']) == (['ALL'], ['no-new-privileges:true'])
    assert service['init'] is True and service['pids_limit'] and service['healthcheck'] and service['restart']
    assert service['stop_grace_period'] == '40s'
    assert service.get('read_only') is True or service['user'].split(':')[0] not in ('0', 'root')


def test_gpus_are_asked_for_in_one_way() -> None:
    gpu = FILES['docker-compose.gpu.yml']['services']['backend-hf']['deploy']
    assert overlay('backend-vllm')['services']['backend-vllm']['deploy'] == gpu


def test_command_of_vllm() -> None:
    command = command_of(ROOT / 'docker-compose.backend-vllm.yml', 'backend-vllm', {
        'SANDLE_VLLM_MODEL': 'org/model', 'SANDLE_VLLM_TENSOR_PARALLEL_SIZE': '4', 'SANDLE_VLLM_DTYPE': '',
        'SANDLE_VLLM_ARGS': "--served-model-name 'a b' --quantization fp8"})
    assert command[:5] == ['org/model', '--host', '0.0.0.0', '--port', '8000']
    assert command[5:9] == ['--tensor-parallel-size', '4', '--dtype', 'auto']
    assert command[-4:] == ['--served-model-name', 'a b', '--quantization', 'fp8']
    with pytest.raises(KeyError):
        command_of(ROOT / 'docker-compose.backend-vllm.yml', 'backend-vllm', {})


# Where there is no docker-compose, check.bash is the one to have it read the files.
@pytest.mark.skipif(shutil.which('docker-compose') is None, reason='docker-compose is not installed')
@pytest.mark.parametrize('backend', BACKENDS)
def test_compose_reads_the_files(backend: str) -> None:
    command = ['docker-compose', '-f', 'docker-compose.yml', '-f', f'docker-compose.{backend}.yml', 'config']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, env={
        'PATH': '/usr/bin:/usr/local/bin:/bin', **GIVEN}, check=False)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)['services']
    assert services.keys() == {'demo', 'openai-wrapper', backend}
    assert set(services['openai-wrapper']['networks']) == {'mid', backend}
