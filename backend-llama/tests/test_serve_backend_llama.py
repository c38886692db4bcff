"""backend-llama as a real process: it stands, it lists its model, and it says clearly that it cannot load it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from llama_engine import find_fault

pytestmark = pytest.mark.e2e

SCRIPT = Path(__file__).resolve().parent.parent / 'serve-backend-llama.py'
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith('SANDLE_')}
START_TIMEOUT_S = 30.0


@pytest.fixture(scope='module')
def llama_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as Meta distributes LLaMA; the weights are never opened."""
    folder = tmp_path_factory.mktemp('llama')
    (folder / '7B').mkdir()
    (folder / '7B' / 'params.json').write_text('{}')
    (folder / '7B' / 'consolidated.00.pth').write_bytes(b'')
    (folder / 'tokenizer.model').write_bytes(b'')
    return folder


@pytest.fixture(scope='module')
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """A function that starts the backend in another folder and returns its address."""
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    processes: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str, **environment: str) -> str:
        log = elsewhere / f'{len(processes)}.log'
        with log.open('wb') as stream:
            processes.append(subprocess.Popen([sys.executable, str(SCRIPT), *arguments, '--port', '0'], cwd=elsewhere,
                                              stderr=stream, env=ENVIRONMENT | environment))
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if match := re.search(r'listening on (http://\S+)', log.read_text()):
                return match[1]
            time.sleep(0.05)  # between two looks
        raise AssertionError(log.read_text())

    yield run
    for process in processes:
        process.terminate()
    for process in processes:
        assert process.wait(20) == 0


@pytest.fixture(scope='module')
def url(start: Callable[..., str], llama_dir: Path) -> str:
    """The backend over a folder that looks right."""
    return start(str(llama_dir), '7B', '--max-seq-len', '1024')


def test_process_is_up_and_never_ready(url: str) -> None:
    assert requests.get(f'{url}/health', timeout=5).status_code == 200
    assert requests.get(f'{url}/ready', timeout=5).status_code == 503


def test_model_is_listed_in_error_with_the_cause(url: str) -> None:
    [model] = requests.get(f'{url}/v1/models', timeout=5).json()['data']
    assert (model['id'], model['owned_by'], model['status']) == ('llama-7B', 'facebook', 'error')
    assert model['max_model_len'] == 1024
    assert 'cannot load LLaMA weights yet' in model['status_message']
    assert 'params.json' not in model['status_message']
    assert requests.get(f'{url}/v1/models/llama-7B', timeout=5).json() == model


def test_completion_says_that_the_model_cannot_be_loaded(url: str) -> None:
    answer = requests.post(f'{url}/v1/completions', json={'model': 'llama-7B', 'prompt': 'x'}, timeout=5)
    assert answer.status_code == 503
    assert 'cannot load LLaMA weights yet' in answer.json()['error']['message']
    assert int(answer.headers['Retry-After']) > 120, 'clients are not to try again at once'
    unknown = requests.post(f'{url}/v1/completions', json={'model': 'llama-13B', 'prompt': 'x'}, timeout=5)
    assert unknown.status_code == 404


def test_wrong_folder_is_told_by_the_model_and_settings_come_from_the_environment(start: Callable[..., str],
                                                                                  tmp_path: Path) -> None:
    address = start(SANDLE_LLAMA_DIR=str(tmp_path), SANDLE_LLAMA_MODEL_SIZE='13B', SANDLE_MAX_SEQ_LEN='99')
    [model] = requests.get(f'{address}/v1/models', timeout=5).json()['data']
    assert (model['id'], model['max_model_len']) == ('llama-13B', 99)
    assert f'{tmp_path} has no folder 13B' in model['status_message']


@pytest.mark.parametrize(('name', 'words'), [
    ('7B/params.json', 'has no params.json'), ('7B/consolidated.00.pth', 'has no weights'),
    ('tokenizer.model', 'has no tokenizer.model')])
def test_missing_file_is_named(llama_dir: Path, name: str, words: str) -> None:
    assert find_fault(llama_dir, '7B') is None
    content = (llama_dir / name).read_bytes()
    (llama_dir / name).unlink()
    try:
        assert words in (find_fault(llama_dir, '7B') or '')
    finally:
        (llama_dir / name).write_bytes(content)


@pytest.mark.parametrize(('arguments', 'words'), [
    (['/no/such/folder', '7B'], "'/no/such/folder' does not exist"), (['/', '8B'], "'8B' is not one of '7B', '13B'"),
    (['/'], "Missing argument 'MODEL_SIZE"), (['/', '7B', '--max-seq-len', '0'], '--max-seq-len')])
def test_bad_argument_stops_the_start_with_one_line(arguments: list[str], words: str) -> None:
    ended = subprocess.run([sys.executable, str(SCRIPT), *arguments], env=ENVIRONMENT, capture_output=True, text=True,
                           timeout=60)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert 'Traceback' not in ended.stderr


def test_no_torch_is_imported() -> None:
    code = f'import runpy, sys; runpy.run_path({str(SCRIPT)!r}); sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], cwd=SCRIPT.parent, timeout=60,
                          env=ENVIRONMENT | {'PYTHONPATH': str(SCRIPT.parent)}).returncode == 0
