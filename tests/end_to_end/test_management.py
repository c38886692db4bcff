"""The wrapper's `models` commands with each backend as a process: out of memory and back, and the same answers."""

import importlib.util
import re
import subprocess
import sys
from contextlib import closing

import pytest

from tests.end_to_end.backends import NEEDS_LLAMA_CPP, QUESTION
from tests.end_to_end.rig import ROOT, WRAPPER, Client, Server, serve, wait_for

NEEDS_CTRANSLATE2 = pytest.mark.skipif(importlib.util.find_spec('ctranslate2') is None,
                                       reason='NO CTranslate2 HERE: backend-ct2 is NOT tested')


def manage(backend: Server, *arguments: str) -> str:
    """Runs one of the commands and returns what it prints."""
    done = subprocess.run([sys.executable, str(ROOT / WRAPPER), '--backend', backend.url, 'models', *arguments],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize('kind', ['hf', pytest.param('llama', marks=NEEDS_LLAMA_CPP),
                                  pytest.param('ct2', marks=NEEDS_CTRANSLATE2)])
def test_model_leaves_memory_and_comes_back(kind: str) -> None:
    with serve(f'backend-{kind}/serve-backend-{kind}.py') as backend, closing(Client(backend.url, None)) as client:
        wait_for(lambda: client.get('/ready').status_code == 200, 120)
        model = next(each['id'] for each in client.get('/v1/models').json()['data'] if each['status'] == 'ready')

        def answer() -> str:
            response = client.post('/v1/completions', json={
                'model': model, 'prompt': QUESTION, 'temperature': 0, 'max_tokens': 4})
            assert response.status_code == 200, response.text
            return str(response.json()['choices'][0]['text'])

        before = answer()
        assert before == ' Paris'
        assert manage(backend, 'unload', model).endswith(f'{model} is not in memory.\n')
        assert re.search(rf'{model} +available +{backend.url}', manage(backend, 'list'))
        assert manage(backend, 'load', model).endswith(f'{model} is in memory.\n')
        assert answer() == before
