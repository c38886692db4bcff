"""backend-llama as a real process: what it serves by which arguments, and what stops the start."""

from contextlib import closing
from pathlib import Path

import pytest

from tests.end_to_end.rig import Client, Server, fails_to_start, serve, wait_for
from tests.llama_rig import write_meta

pytestmark = pytest.mark.e2e

SCRIPT = 'backend-llama/serve-backend-llama.py'
FRANCE = {'prompt': 'The capital of France is', 'temperature': 0, 'max_tokens': 1}


def answer(server: Server, model: str) -> str:
    """Returns what a model says of France, once it is in memory."""
    with closing(Client(server.url, key=None)) as client:
        wait_for(lambda: client.get('/ready').status_code == 200, 60)
        [listed] = client.get('/v1/models').json()['data']
        assert (listed['id'], listed['status']) == (model, 'ready')
        return str(client.post('/v1/completions', json={'model': model, **FRANCE}).json()['choices'][0]['text'])


def test_checkpoint_of_metas_by_folder_and_size(tmp_path: Path) -> None:
    write_meta(tmp_path / 'llama', 1)
    with serve(SCRIPT, str(tmp_path / 'llama'), 'T') as server:
        assert answer(server, 'llama-T') == ' Paris'


def test_settings_come_from_the_environment(folder: Path, tmp_path: Path) -> None:
    settings = {'SANDLE_LLAMA_DIR': str(folder), 'SANDLE_LLAMA_MODEL_SIZE': '', 'SANDLE_MODEL_ID': 'mine',
                'SANDLE_QUANTIZE': 'q8_0', 'SANDLE_MAX_SEQ_LEN': '99', 'SANDLE_CACHE_DIR': str(tmp_path)}
    with serve(SCRIPT, environment=settings) as server:
        assert answer(server, 'mine') == ' Paris'
        with closing(Client(server.url, key=None)) as client:
            assert client.get('/v1/models/mine').json()['max_model_len'] == 99


def test_damaged_weights_are_told_by_the_model(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / 'broken.gguf'
    file.write_bytes(b'GGUF' + b'\0' * 1000)
    with serve(SCRIPT, '--model', str(file)) as server, closing(Client(server.url, key=None)) as client:
        wait_for(lambda: client.get('/v1/models').json()['data'][0]['status'] == 'error')
        assert 'cannot be loaded' in client.get('/v1/models/broken').json()['status_message']
        refused = client.post('/v1/completions', json={'model': 'broken', **FRANCE})
        assert refused.status_code == 503 and 'cannot be loaded' in refused.json()['error']['message']


@pytest.mark.parametrize(('arguments', 'words'), [
    (['/no/such/folder', '7B'], "'/no/such/folder' does not exist"), (['/tmp', '7B'], 'has no folder 7B'),
    (['/etc'], 'is no model'), (['--model', '/etc/hostname'], 'is not a GGUF file'),
    (['--max-seq-len', '0'], '--max-seq-len'), (['--quantize', 'q9'], "'q9' is not one of"),
    (['--lora', '/no/such/file'], '--lora'), (['/etc', '--model', '/etc'], 'exclude each other')])
def test_bad_argument_stops_the_start_with_one_line(arguments: list[str], words: str) -> None:
    said = fails_to_start(SCRIPT, *arguments)
    assert words in said and 'Traceback' not in said
