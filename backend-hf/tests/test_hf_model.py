"""Loading: real files of small random models, through to tokens; and each way in which it fails."""

import gc
import json
import shutil
import socket
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hf_model
import pytest
import safetensors.torch
import torch
import transformers
from hf_device import Hardware
from hf_load_options import LoadOptions
from hf_model import HfLoader
from tests.kernels_here import NEEDS_KERNELS

from sandle.catalog import CatalogEntry
from sandle.engine.download import Download
from sandle.engine.runner import LoadedModel, LoadError, Work

FAMILIES = ['llama', 'gpt2', 'opt', 'bloom', 'gpt_neox']


def load(folder: Path, options: LoadOptions = LoadOptions(slots=2), hardware: Hardware = Hardware()) -> LoadedModel:
    entry = CatalogEntry('model', 'a model', 'someone', path=folder)
    return HfLoader([entry], options, hardware).load('model', lambda line: None)


def refusal(folder: Path, options: LoadOptions = LoadOptions()) -> str:
    with pytest.raises(LoadError) as caught:
        load(folder, options)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def change_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def logits(loaded: LoadedModel, tokens: Sequence[int]) -> torch.Tensor:
    return loaded.runner.step([Work(0, 0, tokens, len(tokens))])


@pytest.fixture
def folder(llama_folder: Path, tmp_path: Path) -> Path:
    """A model's folder that may be changed."""
    return Path(shutil.copytree(llama_folder, tmp_path / 'model'))


@pytest.mark.parametrize('family', FAMILIES)
def test_family_is_loaded_as_the_library_loads_it(make_model: Callable[..., Path], family: str) -> None:
    folder = make_model(family)
    loaded = load(folder)
    tokens = loaded.tokenizer.encode('the cat', True)
    auto_model: Any = transformers.AutoModelForCausalLM
    expected = auto_model.from_pretrained(folder, dtype=torch.float32)(torch.tensor([tokens])).logits[0]
    torch.testing.assert_close(logits(loaded, tokens), expected.detach(), rtol=1e-4, atol=1e-5)
    assert loaded.tokenizer.eos_ids == {1}
    assert loaded.tokenizer.default_prompt == (0,)
    assert loaded.tokenizer.vocab_size == 288
    assert loaded.context_length == (hf_model.DEFAULT_CONTEXT_TOKENS if family == 'bloom' else 128)


def test_loading_a_folder_needs_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []
    others = set(threading.enumerate()) - {threading.current_thread()}  # what tests before this one have left behind

    def refuse(self: socket.socket, address: object) -> None:
        if threading.current_thread() not in others:
            tried.append(address)
        raise OSError('no network here')

    def find_none(*args: object) -> list[object]:
        if threading.current_thread() not in others:
            tried.append(args)
        return []

    monkeypatch.setattr(socket, 'getaddrinfo', find_none)
    monkeypatch.setattr(socket.socket, 'connect', refuse)
    load(folder)
    assert tried == []


def test_what_the_file_says_of_attention_is_not_heeded(folder: Path) -> None:
    """A name such as this one makes the library fetch and run code of the Hub."""
    change_json(folder / 'config.json', attn_implementation='someone/kernel', _attn_implementation='someone/kernel')
    assert load(folder).runner.slots == 2


def test_progress_is_reported(folder: Path) -> None:
    lines: list[str | Download] = []
    HfLoader([CatalogEntry('model', '', '', path=folder)], LoadOptions(), Hardware()).load('model', lines.append)
    assert lines == ['loading 0.1 MiB of weights', 'preparing the weights']


def test_model_of_the_hub_is_fetched_and_loaded(hub: Any, folder: Path) -> None:
    hub.repos['someone/model', 'main'] = folder
    entry = CatalogEntry('short', '', '', repo='someone/model')
    lines: list[str | Download] = []
    loaded = HfLoader([entry], LoadOptions(slots=3), Hardware()).load('short', lines.append)
    assert loaded.runner.slots == 3
    assert lines[0] == 'asking the Hub for the list of files'


@pytest.mark.parametrize(('generation', 'config', 'expected'), [
    ({'eos_token_id': [5, 7, 900]}, {'eos_token_id': 9}, {5, 7}),
    ({'eos_token_id': None}, {'eos_token_id': [9, 8]}, {8, 9}),
    ({'eos_token_id': None}, {'eos_token_id': None}, {1}),
    ({'eos_token_id': None}, {'eos_token_id': -1}, {1}),
])
def test_end_tokens_come_from_the_configuration(folder: Path, generation: dict[str, Any], config: dict[str, Any],
                                                expected: set[int]) -> None:
    change_json(folder / 'generation_config.json', **generation)
    change_json(folder / 'config.json', **config)
    assert load(folder).tokenizer.eos_ids == expected


def test_beginning_token_comes_from_the_configuration(folder: Path) -> None:
    change_json(folder / 'generation_config.json', bos_token_id=42)
    assert load(folder).tokenizer.default_prompt == (42,)


@pytest.mark.parametrize(('cap', 'expected'), [(None, 128), (64, 64), (4096, 128)])
def test_context_is_the_models_and_no_more_than_the_cap(folder: Path, cap: int | None, expected: int) -> None:
    assert load(folder, LoadOptions(slots=1, max_context_tokens=cap)).context_length == expected


def parameters(loaded: LoadedModel) -> list[torch.nn.Parameter]:
    return list(loaded.runner._model.parameters())  # type: ignore[attr-defined]  # a runner hides its model


@NEEDS_KERNELS
@pytest.mark.parametrize(('dtype', 'expected'), [
    ('auto', torch.float32), ('float32', torch.float32), ('bfloat16', torch.bfloat16)])
def test_number_format_is_the_one_chosen(folder: Path, dtype: str, expected: torch.dtype) -> None:
    """Whatever the file says: the original took fp16 everywhere."""
    change_json(folder / 'config.json', dtype='float16')
    loaded = load(folder, LoadOptions(dtype=dtype, slots=1), Hardware(has_fast_cpu_bf16=True))
    assert loaded.runner.dtype is expected  # type: ignore[attr-defined]  # not part of what a runner shows
    assert logits(loaded, [1, 2, 3]).dtype is torch.float32


def test_too_little_memory_is_told_before_loading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf_model, 'available_memory', lambda device, hardware: 50_000)
    message = refusal(folder)
    assert 'needs 0.2 MiB of memory as float32 and 0.0 MiB are free' in message
    assert '--offload-dir' in message


@pytest.mark.parametrize('free', [1_000, 150_000])
def test_what_does_not_fit_is_offloaded_and_gives_the_same_logits(folder: Path, tmp_path: Path, free: int,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [5, 9, 200, 7]
    expected = logits(load(folder), tokens)
    monkeypatch.setattr(hf_model, 'main_memory', lambda: free)
    offload_dir = tmp_path / 'offload'
    offload_dir.mkdir()
    loaded = load(folder, LoadOptions(dtype='float32', offload_dir=offload_dir, slots=1))
    assert any(parameter.device.type == 'meta' for parameter in parameters(loaded)), 'nothing was offloaded'
    torch.testing.assert_close(logits(loaded, tokens), expected, rtol=1e-4, atol=1e-5)


@NEEDS_KERNELS
def test_released_model_is_gone_from_memory(folder: Path) -> None:
    loaded = load(folder)
    reference = weakref.ref(loaded.runner._packer.kept[0])  # type: ignore[attr-defined]  # hidden, too
    loaded.runner.release()
    gc.collect()
    assert reference() is None


def test_weights_that_do_not_fill_the_model_are_refused(folder: Path) -> None:
    """The library fills the gaps with random numbers, and the model would babble."""
    weights = safetensors.torch.load_file(folder / 'model.safetensors')
    del weights['model.norm.weight']
    safetensors.torch.save_file(weights, folder / 'model.safetensors', {'format': 'pt'})
    assert 'lacks 1 weights (model.norm.weight' in refusal(folder)


def test_weights_that_nothing_uses_are_told_in_the_log(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    change_json(folder / 'config.json', num_hidden_layers=1)
    load(folder)
    assert any('weights of the files are not used' in record.message for record in caplog.records)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    weights = safetensors.torch.load_file(folder / 'model.safetensors')
    weights['model.norm.weight'] = torch.ones(5)
    safetensors.torch.save_file(weights, folder / 'model.safetensors', {'format': 'pt'})
    assert 'cannot be loaded' in refusal(folder)


@pytest.mark.parametrize(('changes', 'words'), [
    ({'model_type': 'no-such-thing'}, 'no-such-thing'),
    ({'model_type': 't5', 'architectures': ['T5ForConditionalGeneration']}, 'not of this architecture'),
    ({'hidden_size': 'x'}, 'cannot be loaded'), ({'hidden_size': 64}, 'cannot be loaded'),
    ({'num_attention_heads': 0}, 'cannot be loaded'), ({'vocab_size': 10 ** 12}, 'cannot be loaded'),
])
def test_configuration_that_makes_no_model_is_refused(folder: Path, changes: dict[str, Any], words: str) -> None:
    change_json(folder / 'config.json', **changes)
    message = refusal(folder)
    assert words in message and str(folder) in message


@pytest.mark.parametrize('content', [b'', b'{}', b'{"model": {}}', b'\xff'])
def test_damaged_tokenizer_is_refused(folder: Path, content: bytes) -> None:
    (folder / 'tokenizer.json').write_bytes(content)
    assert 'tokenizer' in refusal(folder)


def test_pickle_is_never_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / 'model.safetensors').unlink()
    torch.save({'x': torch.zeros(1)}, folder / 'pytorch_model.bin')
    monkeypatch.setattr(torch, 'load', lambda *args, **kwargs: pytest.fail('a pickle was opened'))
    assert 'only as a pickle' in refusal(folder)


def test_lack_of_memory_while_loading_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError('CUDA out of memory.\nTried to allocate 20 GiB.')

    monkeypatch.setattr(transformers.AutoModelForCausalLM, 'from_pretrained', exhaust)
    assert 'more memory than there is' in refusal(folder)


@pytest.mark.parametrize(('options', 'size', 'device_map'), [
    (LoadOptions(device='cuda'), 180, {'': 'cuda:1'}), (LoadOptions(device='cuda'), 190, 'auto'),
    (LoadOptions(device='cuda:1'), 190, {'': 'cuda:1'}),
    (LoadOptions(device='mps'), 190, {'': 'mps'}), (LoadOptions(), 190, {'': 'cpu'})])
def test_device_map_follows_the_device(monkeypatch: pytest.MonkeyPatch, options: LoadOptions, size: int,
                                       device_map: object) -> None:
    """A model goes to one GPU if it is enough, the one with the most room."""
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda index: ([100, 200][index], 1000))
    placement = HfLoader([], options, Hardware(cuda_devices=2))._placement(options, size)
    assert placement == {'device_map': device_map}


def test_8bit_is_handed_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda index: (1000, 1000))
    options = LoadOptions(device='cuda', bits=8)
    placement = HfLoader([], options, Hardware(cuda_devices=1))._placement(options, 100)
    assert placement['quantization_config'].load_in_8bit is True and placement['device_map'] == 'auto'
