"""The bench's models are what their shapes say, can be loaded, and never end by themselves."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench import models
from bench.models import SHAPES

PARAMETERS = {'A': 134_515_008, 'B': 787_023_872, 'C': 125_239_296}


@pytest.mark.parametrize('name', PARAMETERS)
def test_a_shape_has_the_parameters_of_its_namesake(name: str) -> None:
    with torch.device('meta'):
        model: Any = AutoModelForCausalLM.from_config(SHAPES[name].config)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


@pytest.fixture(scope='module', params=['llama', 'opt'])
def folder(request: pytest.FixtureRequest, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of each kind."""
    if request.param == 'llama':
        return tiny
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SHAPES, 'small', models.Shape('small', 'opt', 64, 2, 4, 4, 128, 1024, 128))
        return models.ensure('small', tmp_path_factory.mktemp('models'))


def load(folder: Path) -> Any:
    auto_model: Any = AutoModelForCausalLM
    model, report = auto_model.from_pretrained(folder, output_loading_info=True)
    assert not report['missing_keys'] and not report['unexpected_keys']
    return model


def test_end_of_text_is_the_least_likely_token(folder: Path) -> None:
    model = load(folder)
    ids = torch.randint(1, 1024, (4, 32), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = model(ids).logits.float()
    others = logits[..., 1:]
    assert bool((logits[..., 0] < others.amin(-1) - 10).all())
    assert bool((others.std(-1) > 0.1).all())


def test_a_text_of_n_characters_is_n_tokens_and_every_token_is_text(folder: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    text = 'any old text, of 32 characters!!'
    assert len(tokenizer.encode(text)) == len(text) and tokenizer.decode(tokenizer.encode(text)) == text
    words = [tokenizer.decode([token]) for token in range(257, 1024)]
    assert len(set(words)) == len(words) and all(word.startswith(' ') and word.isascii() for word in words)
    assert len(tokenizer) == 1024


def test_ensure_makes_the_same_model_again_when_it_is_not_whole(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / 'tiny').mkdir()
    (tmp_path / 'tiny' / 'model.safetensors').write_bytes(b'half')
    again = models.ensure('tiny', tmp_path)
    assert (again / 'model.safetensors').read_bytes() == (tiny / 'model.safetensors').read_bytes()
    stamp = (again / 'model.safetensors').stat().st_mtime_ns
    assert models.ensure('tiny', tmp_path) == again and (again / 'model.safetensors').stat().st_mtime_ns == stamp
