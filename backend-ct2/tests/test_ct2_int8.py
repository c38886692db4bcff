"""Weights as integers of 8 bits: made by the README's command or while they are loaded, they answer as float32 does."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest

from tests.ct2_rig import SANDLE_TINY, complete, serving, texts
from tests.end_to_end.rig import ROOT, Client
from tests.guides.blocks import blocks_of, run
from tests.translators import PAIRS

pytestmark = pytest.mark.e2e

EMBEDDED = ROOT / 'models/sandle-tiny-ct2'
MAX_TOKENS = 32
LEAST_ALIKE = 0.9  # of the answers, token for token; where float32 hardly prefers one word, rounding may choose another
MOST_APART = 0.05  # of a token's logprobs, on average


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README's command makes of sandle-tiny."""
    folder = tmp_path_factory.mktemp('made')
    [command] = [block for block in blocks_of(ROOT / 'README.md') if 'ct2-transformers-converter' in block.text]
    run([dataclasses.replace(command, mark='run')], {'SANDLE_CT2_BIND_SRC_DIR': str(folder)})
    return folder / 'sandle-tiny'


@pytest.fixture(scope='module')
def client(models: Path, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The backend with integers: of three models whose files hold float32, and of one whose files hold integers."""
    folder = tmp_path_factory.mktemp('int8')
    for model in (*models.iterdir(), made):
        (folder / (model.name if model is not made else 'made')).symlink_to(model)
    with serving(folder, tmp_path_factory.mktemp('without-torch'), compute_type='int8') as (_, opened):
        yield opened


@pytest.fixture(scope='module')
def in_float32(models: Path) -> Any:
    """The library's own sandle-tiny in float32."""
    return ctranslate2.Generator(str(models / SANDLE_TINY.name), compute_type='float32', intra_threads=1)


def test_embedded_model_is_what_the_command_makes(made: Path) -> None:
    assert {file.name: file.read_bytes() for file in made.iterdir()} == {
        file.name: file.read_bytes() for file in EMBEDDED.iterdir()}
    assert (made / 'model.bin').stat().st_size < 0.6 * (SANDLE_TINY / 'model.safetensors').stat().st_size, (
        'half of what the original takes in 16 bits')


@pytest.mark.parametrize('model', ['made', SANDLE_TINY.name])
def test_decoder_answers_as_in_float32(client: Client, in_float32: Any, model: str) -> None:
    asked = json.loads((SANDLE_TINY / 'prompts.json').read_text('utf-8'))[::10]
    choices = complete(client, model, [each['prompt'] for each in asked], max_tokens=MAX_TOKENS,
                       return_token_ids=True)['choices']
    vocabulary = json.loads((EMBEDDED / 'vocabulary.json').read_text('utf-8'))
    prompts = [[vocabulary[token] for token in choice['prompt_token_ids']] for choice in choices]
    expected = in_float32.generate_batch(prompts, max_length=MAX_TOKENS, include_prompt_in_result=False,
                                         return_end_token=True)
    alike = [choice['token_ids'] == wanted.sequences_ids[0] for choice, wanted in zip(choices, expected)]
    assert len(asked) > 30 and sum(alike) >= LEAST_ALIKE * len(asked), alike
    right = [choice['text'].startswith(each['expected']) for choice, each in zip(choices, asked)]
    assert sum(right) >= 0.95 * len(asked), right


def test_logprobs_are_close_to_those_in_float32(client: Client, in_float32: Any) -> None:
    stories = [json.loads(line) for line in (SANDLE_TINY / 'heldout.jsonl').read_text('utf-8').splitlines()[:8]]
    choices = complete(client, 'made', [story['text'] for story in stories], max_tokens=0, echo=True, logprobs=0,
                       return_token_ids=True)['choices']
    apart = []
    for choice in choices:
        tokens = choice['prompt_token_ids']
        exact = np.array(in_float32.forward_batch([tokens], return_log_probs=True), np.float32)[0]
        apart += [found - exact[place, token]
                  for place, (token, found) in enumerate(zip(tokens[1:], choice['logprobs']['token_logprobs'][1:]))]
    assert len(apart) > 300 and 0 < np.abs(apart).mean() < MOST_APART, np.abs(apart).mean()
    assert abs(np.mean(apart)) < 0.01, 'perplexity within a hundredth'


@pytest.mark.parametrize('name', ['t5', 'bart'])
def test_encoder_decoder_answers_as_in_float32(client: Client, name: str) -> None:
    assert texts(complete(client, name, [source for source, _ in PAIRS])) == [target for _, target in PAIRS]
