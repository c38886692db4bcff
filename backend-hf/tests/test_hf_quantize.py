"""Weights of 8 and 4 bits: what they are as numbers, and what a model with them answers."""

import json
import math
from pathlib import Path

import hf_kernels
import pytest
import torch
import transformers
from hf_batched import BatchedRunner
from hf_readers import describe
from hf_device import Hardware
from hf_load_options import LoadOptions
from hf_model import HfLoader
from hf_quantize import GROUP, quantize
from tests.hf_families import build
from tests.kernels_here import NEEDS_KERNELS

from sandle.catalog import CatalogEntry
from sandle.engine.runner import LoadError, Work

EMBEDDED = Path(__file__).resolve().parents[2] / 'models/sandle-tiny'
TEXTS = [json.loads(line)['text'] for line in (EMBEDDED / 'heldout.jsonl').read_text('utf-8').splitlines()[:20]]


@pytest.mark.parametrize(('bits', 'worst'), [(8, 1 / 254), (4, 0.2)])
def test_numbers_are_near_the_weights(bits: int, worst: float) -> None:
    """With 8 bits each is within half a step of its group's largest one; with 4 the largest may be cut off."""
    torch.manual_seed(0)
    weight = torch.randn(48, 4 * GROUP) * torch.rand(48, 1)
    numbers, scales = quantize(weight, bits)
    assert numbers.dtype is torch.int8 and numbers.shape == weight.shape and scales.shape == (48, 4)
    assert -2 ** (bits - 1) <= int(numbers.min()) and int(numbers.max()) < 2 ** (bits - 1)
    error = (numbers.view(48, 4, GROUP) * scales[..., None] - weight.view(48, 4, GROUP)).abs()
    assert bool((error <= worst * 1.001 * weight.view(48, 4, GROUP).abs().amax(-1, keepdim=True)).all())


def test_zeros_stay_zeros() -> None:
    for bits in (8, 4):
        numbers, scales = quantize(torch.zeros(16, GROUP), bits)
        assert not numbers.any() and not scales.isnan().any()


@NEEDS_KERNELS
@pytest.mark.parametrize('bits', [8, 4])
@pytest.mark.parametrize('family', ['qwen3', 'gemma', 'gemma2', 'gemma3'])
def test_kernels_compute_with_exactly_these_numbers(family: str, bits: int) -> None:
    """A model whose weights are replaced by what their integers stand for gives the same logits unquantized."""
    tokens = [5, 9, 11, 3, 42, 17, 200, 7]
    runner = BatchedRunner(describe(build(family, 0), 64), torch.float32, 2, hf_kernels.load(), bits)
    found = runner.step([Work(1, 0, tokens, len(tokens))])
    model = build(family, 0)
    for name, parameter in model.named_parameters():
        if '.layers.' in name and parameter.ndim == 2:
            inputs = parameter.shape[1]
            numbers, scales = quantize(torch.nn.functional.pad(parameter.data, (0, -inputs % GROUP)), bits)
            parameter.data = (numbers.view(*scales.shape, GROUP) * scales[..., None]).flatten(1)[:, :inputs]
    with torch.inference_mode():
        expected = model(torch.tensor([tokens])).logits[0]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@NEEDS_KERNELS
@pytest.mark.parametrize(('bits', 'factor'), [(8, 1.002), (4, 1.02)])
def test_embedded_model_is_nearly_as_good(bits: int, factor: float) -> None:
    def perplexity(bits: int | None) -> float:
        loader = HfLoader([CatalogEntry('tiny', '', '', path=EMBEDDED)], LoadOptions(slots=1, bits=bits), Hardware())
        loaded = loader.load('tiny', lambda line: None)
        assert isinstance(loaded.runner, BatchedRunner)
        logprobs = []
        for text in TEXTS:
            tokens = loaded.tokenizer.encode(text, True)
            rows = loaded.runner.step([Work(0, 0, tokens, len(tokens))]).log_softmax(-1)
            logprobs.append(rows[:-1].gather(1, torch.tensor(tokens[1:])[:, None]))
        return math.exp(-float(torch.cat(logprobs).mean()))

    assert perplexity(bits) <= factor * perplexity(None)


@NEEDS_KERNELS
def test_family_that_the_kernels_do_not_know_is_refused(tmp_path: Path) -> None:
    build('falcon', 0).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(EMBEDDED).save_pretrained(tmp_path)
    loader = HfLoader([CatalogEntry('model', '', '', path=tmp_path)], LoadOptions(bits=4), Hardware())
    with pytest.raises(LoadError, match="4-bit weights on a CPU: the family 'falcon' is not known"):
        loader.load('model', lambda line: None)
