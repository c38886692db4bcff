"""lm-evaluation-harness over HTTP: `local-completions` and `local-chat-completions` on backend-hf say what its own `hf`
says of the weights.

The embedded model, whose tokenizer begins every text with <s>, and a random one whose tokenizer adds nothing; in fp32.
Of the harness' options those are varied that change what it sends: tokens or text, alone, in batches, concurrently.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import requests
import tokenizers
import torch
import transformers

from tests.end_to_end.rig import serve, wait_for
from tests.harness.questions import (CHAT, CHATTED, CONTEXT, CONTINUED, LONG, ONE_THREAD, SCORED, SHORT, TINY,
                                     TOLERANCE, ask, hf, local, local_chat, split)

pytestmark = pytest.mark.e2e

BACKEND = 'backend-hf/serve-backend-hf.py'
LOAD_TIMEOUT_S = 60.0

# What local-completions is told, by the name of the variant.
WAYS: dict[str, dict[str, Any]] = {
    'tokens': {},
    'tokens-batched': {'batch_size': 4},
    'tokens-concurrent': {'num_concurrent': 8},
    'tokens-batched-concurrent': {'batch_size': 3, 'num_concurrent': 4},
    'text': {'tokenized_requests': False},
    'text-batched': {'tokenized_requests': False, 'batch_size': 5},
    'text-concurrent': {'tokenized_requests': False, 'num_concurrent': 6},
    'text-batched-concurrent': {'tokenized_requests': False, 'batch_size': 2, 'num_concurrent': 3},
    'remote': {'tokenizer_backend': 'remote', 'tokenizer': None, 'batch_size': 2, 'num_concurrent': 2},
    'remote-text': {'tokenizer_backend': 'remote', 'tokenizer': None, 'tokenized_requests': False},
}
CHAT_WAYS: dict[str, dict[str, Any]] = {'chat': {}, 'chat-concurrent': {'num_concurrent': 4}}
# The remote tokenizer cannot be told to begin with <s>, which the server then adds to text that was counted without it.
MODELS = ['sandle_tiny', 'plain']  # fixtures
CASES = [(model, way) for model in MODELS for way in WAYS if (model, way) != ('sandle_tiny', 'remote-text')]


def save_plain_model(folder: Path) -> Path:
    """Saves a random model with the embedded one's tokenizer, but without <s>. Its last token is often its next."""
    torch.manual_seed(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(TINY)
    tokenizer.backend_tokenizer.post_processor = tokenizers.processors.ByteLevel(trim_offsets=False)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT, initializer_range=0.15,
        bos_token_id=1, eos_token_id=2, pad_token_id=0)
    auto_model: Any = transformers.AutoModelForCausalLM
    model = auto_model.from_config(config)
    model.transformer.wte.weight.data *= 10
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = folder / 'tokenizer_config.json'
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {'add_bos_token': False}))
    return folder


def ask_everything(name: str, folder: Path) -> dict[str, Any]:
    """Returns everything that one model is asked, by the way it is asked; `hf` and `bare` are the harness' answers."""
    is_tiny = name == 'sandle-tiny'
    model = TINY if is_tiny else save_plain_model(folder / name)
    name = name if is_tiny else str(model)
    # The harness leaves <s> out of tokens unless it is told, and would count too few where the server adds it.
    begins = {'add_bos_token': True} if is_tiny else {}
    with serve(BACKEND, '--single-model', name, '--dtype', 'float32', '--max-context-tokens', str(CONTEXT),
               '--max-batch-size', '6', '--max-batch-tokens', '48', environment=ONE_THREAD) as server:
        server.wait_until_it_listens()
        wait_for(lambda: requests.get(f'{server.url}/ready', timeout=10).status_code == 200, LOAD_TIMEOUT_S)
        models = {'hf': hf(model), 'bare': hf(model, add_bos_token=False)}
        for way, options in WAYS.items():
            kinds = SHORT if 'text' in way else SHORT + LONG
            models[way] = local(server.url, name, kinds, **{'tokenizer': str(model)} | begins | options)
        for way, options in CHAT_WAYS.items() if is_tiny else ():  # the other has not learnt to chat
            models[way] = local_chat(server.url, name, **options)
        return ask(folder, models)


@pytest.fixture(scope='module')
def sandle_tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """See ask_everything."""
    return ask_everything('sandle-tiny', tmp_path_factory.mktemp('sandle-tiny'))


@pytest.fixture(scope='module')
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """See ask_everything."""
    return ask_everything('plain', tmp_path_factory.mktemp('plain'))


@pytest.mark.parametrize(('model', 'way'), CASES)
def test_local_completions_says_what_hf_says(request: pytest.FixtureRequest, model: str, way: str) -> None:
    answers = request.getfixturevalue(model)
    found, wanted = answers[way], answers['bare' if way.startswith('remote') else 'hf']
    for kind in [kind for kind in found if kind.startswith('loglikelihood')]:
        scores, flags = split(found[kind])
        wanted_scores, wanted_flags = split(wanted[kind])
        assert scores == pytest.approx(wanted_scores, abs=TOLERANCE, rel=0), kind
        assert flags == wanted_flags, kind
    assert found['generate_until'] == wanted['generate_until']


@pytest.mark.parametrize('way', CHAT_WAYS)
def test_local_chat_completions_says_what_hf_says(sandle_tiny: dict[str, Any], way: str) -> None:
    assert sandle_tiny[way] == {kind: sandle_tiny['bare'][kind] for kind in CHAT}  # the template writes <s> itself
    assert len(set(sandle_tiny[way][CHAT[0]])) == len(CHATTED)


@pytest.mark.parametrize('model', MODELS)
def test_questions_could_have_found_a_difference(request: pytest.FixtureRequest, model: str) -> None:
    for answers in map(request.getfixturevalue(model).get, ('hf', 'bare')):
        scores, flags = split(answers['loglikelihood'])
        assert set(flags) == {False, True}
        assert len({round(score, 3) for score in scores}) == len(SCORED) - 1  # one is asked twice, with the space moved
        assert len(set(answers['generate_until'])) == len(CONTINUED)
        assert all(score < -10 for score in answers['loglikelihood_rolling long'])
