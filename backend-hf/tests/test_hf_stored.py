"""Checkpoints that bitsandbytes and compressed-tensors made, read with them; and what is said of others."""

import copy
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import (QuantizationArgs, QuantizationConfig, QuantizationScheme,
                                             apply_quantization_config)
from compressed_tensors.quantization.utils import calculate_qparams
from hf_batched import BatchedRunner
from hf_device import Hardware
from hf_load_options import LoadOptions
from hf_model import HfLoader
from hf_stored import Stored, check_stored, peak_bytes
from tests.kernels_here import NEEDS_KERNELS

from sandle.catalog import CatalogEntry
from sandle.catalog_file import Quantization
from sandle.engine.runner import LoadedModel, LoadError, Work

EMBEDDED = Path(__file__).resolve().parents[2] / 'models/sandle-tiny'
TOKENS = [5, 9, 11, 3, 42, 17, 200, 7]
AUTO_MODEL: Any = transformers.AutoModelForCausalLM
FORMS = [{'load_in_8bit': True},
         {'load_in_4bit': True, 'bnb_4bit_quant_type': 'nf4', 'bnb_4bit_use_double_quant': True},
         {'load_in_4bit': True, 'bnb_4bit_quant_type': 'fp4'}]
GROUP = 32


def load(folder: Path, **keys: Any) -> LoadedModel:
    entry = CatalogEntry('model', 'a model', 'someone', path=folder, **keys)
    return HfLoader([entry], LoadOptions(slots=2), Hardware()).load('model', lambda line: None)


@torch.inference_mode()
def off(loaded: LoadedModel, model: Any) -> float:
    """Returns how far the logits are from those of a model of transformers, in standard deviations."""
    expected = model(torch.tensor([TOKENS])).logits[0]
    found = loaded.runner.step([Work(0, 0, TOKENS, len(TOKENS))])
    return float((found - expected).square().mean().sqrt() / expected.std())


def compress(model: Any, folder: Path, bits: int, is_symmetric: bool) -> Any:
    """Quantizes a model as compressed-tensors packs it; returns a model of the numbers that its integers stand for."""
    twin = copy.deepcopy(model).float()
    args = QuantizationArgs(num_bits=bits, type='int', symmetric=is_symmetric, strategy='group', group_size=GROUP)
    scheme = QuantizationScheme(targets=['Linear'], weights=args, format='pack-quantized')
    config = QuantizationConfig(config_groups={'all': scheme}, ignore=['lm_head'], format='pack-quantized',
                                quantization_status='frozen')
    apply_quantization_config(model, config)
    low, high = -2 ** (bits - 1), 2 ** (bits - 1) - 1
    for name, module in model.named_modules():
        if hasattr(module, 'weight_scale'):
            groups = module.weight.detach().float().unflatten(1, (-1, GROUP))
            scale, zero_point = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
            module.weight_scale.data.copy_(scale)
            if hasattr(module, 'weight_zero_point'):
                module.weight_zero_point.data.copy_(zero_point)
            numbers = (groups / scale[..., None] + zero_point[..., None]).round().clamp(low, high)
            twin.get_submodule(name).weight.data = ((numbers - zero_point[..., None]) * scale[..., None]).flatten(1)
    compressor = ModelCompressor(quantization_config=config)
    compressor.compress_model(model)
    model.save_pretrained(folder)
    compressor.update_config(folder)
    return twin


@NEEDS_KERNELS
@pytest.mark.parametrize('form', FORMS, ids=['int8', 'nf4', 'fp4'])
def test_bitsandbytes_is_made_dense_and_served_by_the_kernels(tmp_path: Path, form: dict[str, Any]) -> None:
    library: Any = transformers
    made = AUTO_MODEL.from_pretrained(EMBEDDED, dtype=torch.float32, device_map={'': 'cpu'},
                                      quantization_config=library.BitsAndBytesConfig(**form))
    made.save_pretrained(tmp_path)
    library.AutoTokenizer.from_pretrained(EMBEDDED).save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert isinstance(loaded.runner, BatchedRunner)
    assert off(loaded, made) < 0.05, 'with 8 bits the library rounds activations, too'
    tokens = loaded.tokenizer.encode('The capital of France is', True)
    answer = int(loaded.runner.step([Work(0, 0, tokens, 1)]).argmax())
    assert loaded.tokenizer.detokenize([answer]).strip() == 'Paris'


@NEEDS_KERNELS
@pytest.mark.parametrize(('bits', 'is_symmetric'), [(4, True), (4, False), (8, True)])
def test_compressed_tensors_are_made_dense_and_served_by_the_kernels(
        llama_folder: Path, byte_level: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, bits: int,
        is_symmetric: bool) -> None:
    caplog.set_level('INFO')
    twin = compress(AUTO_MODEL.from_pretrained(llama_folder, dtype=torch.float32), tmp_path, bits, is_symmetric)
    byte_level.save_pretrained(tmp_path)
    loaded, dense = load(tmp_path), load(tmp_path, quantization=Quantization.NONE)
    assert isinstance(loaded.runner, BatchedRunner)
    assert off(dense, twin) < 1e-4
    fits_in_4_bits = bits == 4 and is_symmetric
    assert off(loaded, twin) < (1e-4 if bits == 4 else 0.02)
    assert f'as int{4 if fits_in_4_bits else 8} on cpu' in caplog.text


@pytest.mark.parametrize('changes', [{'config_groups': {}}, {'transform_config': {'u': {'type': 'hadamard'}}}])
def test_compressed_tensors_of_more_than_one_kind_are_refused(llama_folder: Path, byte_level: Any, tmp_path: Path,
                                                              changes: dict[str, Any]) -> None:
    compress(AUTO_MODEL.from_pretrained(llama_folder), tmp_path, 4, True)
    byte_level.save_pretrained(tmp_path)
    file = tmp_path / 'config.json'
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {'quantization_config': config['quantization_config'] | changes}))
    with pytest.raises(LoadError, match='in several ways, or with transforms'):
        load(tmp_path)


@pytest.mark.parametrize(('method', 'wanted', 'device', 'words'), [
    ('gptq', None, 'cuda', "quantized by 'gptq', and reading them needs what is not installed here: pip install "
                           'gptqmodel optimum'),
    ('awq', Quantization.AWQ, 'cuda', 'pip install gptqmodel'),
    ('bitsandbytes', None, 'cpu', 'pip install bitsandbytes'),
    ('compressed-tensors', None, 'cpu', 'pip install compressed-tensors'),
    ('quip', None, 'cpu', "quantized by 'quip', which cannot be read"),
    ('gptq', Quantization.AWQ, 'cpu', "'awq' in models.json, but the weights are quantized by 'gptq'"),
    (None, Quantization.GPTQ, 'cpu', 'but the weights are not quantized')])
def test_weights_say_what_they_need(monkeypatch: pytest.MonkeyPatch, method: str | None, wanted: Quantization | None,
                                    device: str, words: str) -> None:
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(LoadError) as caught:
        check_stored(method, wanted, device)
    assert words in str(caught.value) and '\n' not in str(caught.value)


def test_memory_is_what_loading_takes_at_most() -> None:
    """A billion of weights of half a byte: packed ones are never dense all at once, others are beside their own."""
    parameters, stored_bytes = 10 ** 9, 500_000_000
    sizes = [peak_bytes(Stored(is_made_dense=dense), stored_bytes, parameters, torch.bfloat16, bits)
             for dense, bits in ((False, 4), (False, 8), (False, None), (True, 4))]
    assert sizes == [625_000_000, 1_125_000_000, 2_000_000_000, 2_500_000_000]
