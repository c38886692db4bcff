"""LiteLLM as a library, in a process of its own, because it does not go together with what is in .venv."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.apart import InstallError, install
from tests.clients.asked import CAPITAL_SAID, EMBEDDING_SIZE, QUESTION_SAID
from tests.end_to_end.rig import KEY, ROOT, Server

HERE = Path(__file__).parent
TIMEOUT_S = 120.0


def test_litellm(tiny_stack: Server) -> None:
    try:
        packages = install('litellm', HERE / 'requirements.txt')
    except InstallError as error:
        pytest.fail(f'LiteLLM is needed and is not there: {error}')
    path = os.pathsep.join([str(packages), str(ROOT)])
    ended = subprocess.run(
        [sys.executable, str(HERE / 'ask.py'), tiny_stack.url, KEY], capture_output=True, text=True, timeout=TIMEOUT_S,
        env={**os.environ, 'PYTHONPATH': path, 'LITELLM_LOCAL_MODEL_COST_MAP': 'True'})
    assert ended.returncode == 0, ended.stderr[-4000:]
    answers = json.loads(ended.stdout.splitlines()[-1])
    assert answers['total tokens'] > 0 and len(answers['embedding']) == EMBEDDING_SIZE
    assert answers == {
        'completion': CAPITAL_SAID, 'completion stream': CAPITAL_SAID, 'chat': QUESTION_SAID,
        'chat stream': QUESTION_SAID, 'chat async': QUESTION_SAID, 'total tokens': answers['total tokens'],
        'embedding': answers['embedding'], 'no such model': 'NotFoundError', 'wrong key': 'AuthenticationError'}
