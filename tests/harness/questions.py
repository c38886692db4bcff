"""What lm-evaluation-harness is asked to ask, of its own model and of one over HTTP, and how its answers are read."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.rig import ROOT
from tests.apart import InstallError, install

TINY = ROOT / 'models/sandle-tiny'
ONE_THREAD = {'OMP_NUM_THREADS': '1'}  # on models this small, more only wait for each other
TOLERANCE = 1e-3
ASK_TIMEOUT_S = 240.0
CAPITAL = 'Q: What is the capital of France?\nA:'
STORY = 'Once upon a time, there was a little girl who lived in a small house near the forest. '
CONTEXT = 128  # of both models

SCORED = [
    (CAPITAL, ' Paris'), (CAPITAL, ' London'), (CAPITAL, ' Rome, I think'), (CAPITAL + ' ', 'Paris'),
    ('', 'The sun rises in the east'), ('', ' Paris'), ('1, 2, 3, 4,', ' 5, 6, 7'), ('A line\n\n', 'and\nanother\n'),
    ('Der Fluß heißt', ' Donau 🎉 – 漢字'), ('</s>said <s> she,', ' twice'), (STORY, 'She had a cat.'),
    (STORY * 3, STORY), ('12 + 7', '7'), ('x', 'y')]
ROLLED = [['The cat sat on the mat.'], [STORY * 2], [CAPITAL + ' Paris\n\n']]
CONTINUED = [
    [CAPITAL, {'until': ['\n\n'], 'max_gen_toks': 12, 'do_sample': False}],
    ['Once upon a time', {'until': ['.'], 'max_gen_toks': 40, 'do_sample': False}],
    ['1, 2, 3, 4,', {'until': ['\n', ' 9'], 'max_gen_toks': 16, 'do_sample': False}],
    [STORY, {'until': [' the'], 'max_gen_toks': 24, 'do_sample': False}]]
QUESTIONS = ['What is the capital of France?', 'Repeat: the old boat is red', 'What is 2 + 3?', 'Tell me a story.']
CHATTED = [[[{'role': 'user', 'content': question}], {'until': ['!'], 'max_gen_toks': 24, 'do_sample': False}]
           for question in QUESTIONS]
CHATTED.append([[{'role': 'system', 'content': 'You answer in a few words.'}, {'role': 'user', 'content': 'Hello!'},
                 {'role': 'assistant', 'content': 'Hello! How can I help you?'},
                 {'role': 'user', 'content': 'Name three animals.'}],
                {'until': ['!'], 'max_gen_toks': 16, 'do_sample': False}])
REQUESTS = {
    'loglikelihood': SCORED, 'loglikelihood_rolling': ROLLED, 'generate_until': CONTINUED,
    'generate_until chat': CHATTED,
    # Past the context: cut from the left, or in several windows.
    'loglikelihood long': [[STORY * 7, ' and then'], [STORY * 20, ' the end']],
    'loglikelihood_rolling long': [[STORY * 14 + 'It ended.']]}
SHORT = ['loglikelihood', 'loglikelihood_rolling', 'generate_until']
CHAT = ['generate_until chat']
LONG = ['loglikelihood long', 'loglikelihood_rolling long']


def ask(folder: Path, models: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """Has the harness ask models, with a key where they are asked over HTTP; see answers.py."""
    try:
        harness = install('lm-eval', Path(__file__).with_name('requirements.txt'))
    except InstallError as error:
        pytest.fail(f'lm-evaluation-harness is needed and is not there: {error}')
    source, target = folder / 'asked.json', folder / 'answers.json'
    source.write_text(json.dumps({'models': models, 'requests': REQUESTS}))
    environment = {name: value for name, value in os.environ.items() if name != 'OPENAI_API_KEY'}
    if key is not None:
        environment['OPENAI_API_KEY'] = key
    ended = subprocess.run(
        [sys.executable, str(Path(__file__).with_name('answers.py')), str(source), str(target)], text=True, cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=ASK_TIMEOUT_S,
        env=environment | ONE_THREAD | {'PYTHONPATH': str(harness), 'HF_HUB_OFFLINE': '1', 'HF_HOME': str(folder)})
    assert ended.returncode == 0, ended.stdout[-6000:]
    answers: dict[str, Any] = json.loads(target.read_text())
    return answers


def local(url: str, name: str, kinds: list[str], **options: Any) -> dict[str, Any]:
    """A local-completions model, as answers.py wants it."""
    return {'model': 'local-completions', 'kinds': kinds, 'options': {
        'model': name, 'base_url': f'{url}/v1/completions', 'max_length': CONTEXT, 'tokenizer_backend': 'huggingface',
        'max_retries': 1, **options}}


def local_chat(url: str, name: str, **options: Any) -> dict[str, Any]:
    """A local-chat-completions model, as answers.py wants it."""
    return {'model': 'local-chat-completions', 'kinds': CHAT, 'options': {
        'model': name, 'base_url': f'{url}/v1/chat/completions', 'max_retries': 1, **options}}


def hf(folder: Path, **options: Any) -> dict[str, Any]:
    """The harness' own model. With N - 2 it uses as much as local-completions with N, which needs room to generate."""
    return {'model': 'hf', 'kinds': SHORT + LONG + CHAT, 'options': {
        'pretrained': str(folder), 'device': 'cpu', 'dtype': 'float32', 'max_length': CONTEXT - 2, **options}}


def split(answers: list[Any]) -> tuple[list[float], list[bool]]:
    """Returns the scores, and whether each is the likeliest continuation's, where the kind of request asks for that."""
    pairs = [answer for answer in answers if isinstance(answer, list)]
    return [score for score, _ in pairs] or answers, [is_greedy for _, is_greedy in pairs]
