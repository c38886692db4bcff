"""Simon Willison's `llm`: models of a Sandle in its extra-openai-models.yaml."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.clients.asked import CAPITAL, CAPITAL_SAID, MODEL, QUESTION, QUESTION_SAID
from tests.end_to_end.rig import KEY, Server

TIMEOUT_S = 60.0


@pytest.fixture(scope='module')
def folder(tiny_stack: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder of settings, with the model for chat and for completions."""
    folder = tmp_path_factory.mktemp('llm')
    model = {'model_name': MODEL, 'api_base': f'{tiny_stack.url}/v1', 'api_key_name': 'sandle'}
    (folder / 'extra-openai-models.yaml').write_text(yaml.safe_dump([
        {'model_id': 'tiny-chat', **model}, {'model_id': 'tiny-base', 'completion': True, **model}]))
    run(folder, 'keys', 'set', 'sandle', '--value', KEY)
    return folder


def run(folder: Path, *arguments: str) -> str:
    program = Path(sys.executable).with_name('llm')
    ended = subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=TIMEOUT_S,
                           stdin=subprocess.DEVNULL, env={**os.environ, 'LLM_USER_PATH': str(folder)})
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize('how', [[], ['--no-stream']])
def test_chat(folder: Path, how: list[str]) -> None:
    assert run(folder, '-m', 'tiny-chat', '-o', 'temperature', '0', *how, QUESTION) == f'{QUESTION_SAID}\n'


def test_completion(folder: Path) -> None:
    answer = run(folder, '-m', 'tiny-base', '-o', 'temperature', '0', '-o', 'max_tokens', '8', CAPITAL)
    assert answer == f'{CAPITAL_SAID}\n'


def test_conversation_goes_on(folder: Path) -> None:
    run(folder, '-m', 'tiny-chat', '-o', 'temperature', '0', QUESTION)
    assert run(folder, '--continue', '-o', 'temperature', '0', 'And of Italy?').strip()
    assert QUESTION_SAID in run(folder, 'logs', '-n', '2')
