"""Weights as GPTQ and AWQ pack them: unpacked to the very numbers, and served by the kernels as they are."""

import json
from pathlib import Path
from typing import Any

import hf_kernels
import pytest
import torch
from hf_batched import BatchedRunner
from hf_device import Hardware
from hf_load_options import LoadOptions
from hf_model import HfLoader
from hf_packed import read_packing, unpack
from hf_packed_model import PackedLinear
from hf_runner import HfRunner
from safetensors.torch import load_file, save_file
from tests.hf_lora_rig import make_adapter
from tests.hf_packed_rig import awq, gptq, to_integers, write_packed
from tests.kernels_here import NEEDS_KERNELS

from sandle.catalog import CatalogEntry, Offer
from sandle.catalog_file import Quantization
from sandle.engine.runner import LoadedModel, LoadError, Work

EMBEDDED = Path(__file__).resolve().parents[2] / 'models/sandle-tiny'
TOKENS = [5, 9, 11, 3, 42, 17, 200, 7]


def load(folder: Path, options: LoadOptions = LoadOptions(slots=2), **keys: Any) -> LoadedModel:
    entry = CatalogEntry('model', 'a model', 'someone', path=folder, **keys)
    return HfLoader([entry], options, Hardware()).load('model', lambda line: None)


def logits(loaded: LoadedModel, adapter: str | None = None) -> torch.Tensor:
    return loaded.runner.step([Work(0, 0, TOKENS, len(TOKENS), adapter)])


@torch.inference_mode()
def expected(twin: Any) -> torch.Tensor:
    found: torch.Tensor = twin(torch.tensor([TOKENS])).logits[0]
    return found


@pytest.mark.parametrize('is_shuffled', [False, True])
@pytest.mark.parametrize('is_symmetric', [False, True])
@pytest.mark.parametrize(('bits', 'group', 'form'), [
    (4, 32, 'gptq'), (4, -1, 'gptq_v2'), (8, 32, 'gptq'), (2, 16, 'gptq_v2')])
def test_gptq_is_unpacked_to_its_numbers(bits: int, group: int, form: str, is_symmetric: bool,
                                         is_shuffled: bool) -> None:
    torch.manual_seed(0)
    made = to_integers(torch.randn(48, 64), group, bits, is_symmetric, is_shuffled)
    packing = read_packing({'quant_method': 'gptq', 'bits': bits, 'group_size': group, 'sym': is_symmetric,
                            'desc_act': is_shuffled, 'checkpoint_format': form})
    packed = gptq(made, bits, form == 'gptq_v2')
    weight = unpack(packing, packed['qweight'], packed['qzeros'], packed['scales'], packed['g_idx'])
    assert torch.equal(weight, made.dense())


def test_zero_point_of_the_first_format_wraps() -> None:
    """Zero is stored as minus one, in as many bits as there are."""
    packing = read_packing({'quant_method': 'gptq', 'bits': 4, 'group_size': -1, 'sym': False})
    weight = unpack(packing, torch.tensor([[0x76543210] * 8], dtype=torch.int32),
                    torch.tensor([[-1]], dtype=torch.int32), torch.ones(1, 8), torch.zeros(8, dtype=torch.int32))
    assert torch.equal(weight, torch.arange(8.0).expand(8, 8))


def test_symmetric_weights_do_not_depend_on_what_is_stored_as_zero_point() -> None:
    """Some writers name the first format and store the zero points of the second."""
    made = to_integers(torch.randn(16, 64), 32, 4, is_symmetric=True)
    packing = read_packing({'quant_method': 'gptq', 'bits': 4, 'group_size': 32, 'sym': True})
    for is_v2 in (False, True):
        packed = gptq(made, 4, is_v2)
        assert torch.equal(unpack(packing, packed['qweight'], packed['qzeros'], packed['scales'], packed['g_idx']),
                           made.dense())


@pytest.mark.parametrize('group', [32, 64, -1])
def test_awq_is_unpacked_to_its_numbers(group: int) -> None:
    torch.manual_seed(0)
    made = to_integers(torch.randn(48, 64), group, 4, is_symmetric=False)
    packed = awq(made)
    packing = read_packing({'quant_method': 'awq', 'bits': 4, 'group_size': group, 'version': 'GEMM'})
    weight = unpack(packing, packed['qweight'], packed['qzeros'], packed['scales'], made.groups)
    assert torch.equal(weight, made.dense())


@NEEDS_KERNELS
@pytest.mark.parametrize(('method', 'keys', 'bits', 'most_off'), [
    ('gptq', {}, 4, 1e-4), ('gptq', {'checkpoint_format': 'gptq_v2'}, 4, 1e-4),
    ('gptq', {'is_symmetric': False}, 8, 1e-4), ('gptq', {'is_shuffled': True}, 8, 0.02),
    ('gptq', {'bits': 8, 'group': -1}, 8, 0.02), ('awq', {'is_symmetric': False}, 8, 1e-4)])
def test_kernels_serve_packed_weights(llama_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, method: str,
                                      keys: dict[str, Any], bits: int, most_off: float) -> None:
    """With 4 bits where these are enough. But for mixed groups and 8 bits they have the checkpoint's own integers."""
    caplog.set_level('INFO')
    twin = write_packed(llama_folder, tmp_path / 'packed', method, **keys)
    loaded = load(tmp_path / 'packed')
    assert isinstance(loaded.runner, BatchedRunner) and f'as int{bits} on cpu' in caplog.text
    difference = logits(loaded) - expected(twin)
    assert float(difference.square().mean().sqrt() / expected(twin).std()) < most_off


@NEEDS_KERNELS
def test_entry_says_with_how_many_bits_they_are_held(llama_folder: Path, tmp_path: Path,
                                                     caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level('INFO')
    twin = write_packed(llama_folder, tmp_path / 'packed', 'awq', is_symmetric=False)
    dense = load(tmp_path / 'packed', quantization=Quantization.NONE)
    torch.testing.assert_close(logits(dense), expected(twin), rtol=1e-3, atol=1e-4)
    load(tmp_path / 'packed', quantization=Quantization.INT4)
    assert 'as float32 on cpu' in caplog.text and 'as int4 on cpu' in caplog.text


def test_without_kernels_each_product_unpacks(llama_folder: Path, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise hf_kernels.KernelsError('there are none here')

    monkeypatch.setattr(hf_kernels, 'load', refuse)
    twin = write_packed(llama_folder, tmp_path / 'packed', 'gptq', group=-1)
    loaded = load(tmp_path / 'packed')
    assert isinstance(loaded.runner, HfRunner)
    modules = loaded.runner._model.modules()  # type: ignore[union-attr]  # not released yet
    assert sum(isinstance(module, PackedLinear) for module in modules) == 14, 'seven in each of two layers'
    torch.testing.assert_close(logits(loaded), expected(twin), rtol=1e-3, atol=1e-4)


@NEEDS_KERNELS
def test_adapters_go_on_packed_weights(llama_folder: Path, tmp_path: Path) -> None:
    twin = write_packed(llama_folder, tmp_path / 'packed', 'gptq')
    make_adapter(twin, tmp_path / 'adapter', 0)
    loaded = load(tmp_path / 'packed', adapters=(Offer('poet', 'poet', 'someone', path=tmp_path / 'adapter'),))
    assert isinstance(loaded.runner, BatchedRunner), 'the adapter is right there, or the runner would be another'
    assert not torch.allclose(logits(loaded), logits(loaded, 'poet'))


@NEEDS_KERNELS
def test_biases_of_zeros_that_a_writer_added_are_taken(llama_folder: Path, tmp_path: Path) -> None:
    twin = write_packed(llama_folder, tmp_path / 'packed', 'gptq')
    file = tmp_path / 'packed/model.safetensors'
    tensors = load_file(file)
    tensors |= {name.replace('qweight', 'bias'): torch.zeros(tensors[name].shape[1], dtype=torch.float16)
                for name in list(tensors) if name.endswith('qweight')}
    save_file(tensors, file, {'format': 'pt'})
    torch.testing.assert_close(logits(load(tmp_path / 'packed')), expected(twin), rtol=1e-3, atol=1e-3)


@NEEDS_KERNELS
@pytest.mark.parametrize(('method', 'is_symmetric'), [('gptq', True), ('awq', False)])
def test_embedded_model_says_the_same(tmp_path: Path, method: str, is_symmetric: bool) -> None:
    """Its greedy answer, and the probabilities of the weights that were stored, by GPTQ's or AWQ's format."""
    twin = write_packed(EMBEDDED, tmp_path / 'packed', method, is_symmetric=is_symmetric)
    plain, packed = load(EMBEDDED), load(tmp_path / 'packed')
    tokens = plain.tokenizer.encode('The capital of France is', True)
    answers = []
    for loaded in (plain, packed):
        rows = loaded.runner.step([Work(0, 0, tokens, 1)])
        answer = [int(rows[-1].argmax())]
        while len(answer) < 3:
            answer.append(int(loaded.runner.step([Work(0, len(tokens) + len(answer) - 1, answer[-1:], 1)]).argmax()))
        answers.append(plain.tokenizer.detokenize(answer))
    assert answers[0] == answers[1] and 'Paris' in answers[0]
    torch.testing.assert_close(logits(packed).log_softmax(-1).amax(-1), expected(twin).log_softmax(-1).amax(-1),
                               rtol=0.0, atol=1e-3)


@pytest.mark.parametrize(('changes', 'words'), [
    ({'bits': 3}, "in the format 'gptq' with 3 bits"), ({'checkpoint_format': 'marlin'}, "in the format 'marlin'"),
    ({'quant_method': 'awq', 'version': 'gemv'}, "in its version 'gemv'"), ({'group_size': 0}, 'no valid bits'),
    ({'bits': '4'}, 'no valid bits'), ({'group_size': 64}, 'cannot be loaded'),
    ({'quant_method': 'bitnet'}, "quantized by 'bitnet', which cannot be read")])
def test_what_cannot_be_read_is_told_in_a_line(llama_folder: Path, tmp_path: Path, changes: dict[str, Any],
                                               words: str) -> None:
    write_packed(llama_folder, tmp_path / 'packed', 'gptq')
    file = tmp_path / 'packed/config.json'
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {'quantization_config': config['quantization_config'] | changes}))
    with pytest.raises(LoadError) as caught:
        load(tmp_path / 'packed')
    assert words in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['model.layers.0.mlp.no_such', 'model.layers.0.input_layernorm'])
def test_packed_weights_of_no_linear_module_are_refused(llama_folder: Path, tmp_path: Path, name: str) -> None:
    write_packed(llama_folder, tmp_path / 'packed', 'gptq')
    file = tmp_path / 'packed/model.safetensors'
    save_file(load_file(file) | {f'{name}.qweight': torch.zeros(1, dtype=torch.int32)}, file, {'format': 'pt'})
    with pytest.raises(LoadError, match=f'weights of {name} are packed, which is no linear module'):
        load(tmp_path / 'packed')


def test_scales_that_belong_elsewhere_are_refused(llama_folder: Path, tmp_path: Path) -> None:
    """AWQ scales the activation of some families; a model without that would babble."""
    write_packed(llama_folder, tmp_path / 'packed', 'awq', is_symmetric=False)
    file = tmp_path / 'packed/model.safetensors'
    save_file(load_file(file) | {'model.layers.0.mlp.act.scales': torch.ones(64)}, file, {'format': 'pt'})
    with pytest.raises(LoadError, match='1 weights that are not known here'):
        load(tmp_path / 'packed')
