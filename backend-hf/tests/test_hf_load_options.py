"""What an entry of models.json says of loading: each key, heeded or refused in one line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hf_device import DeviceError, Hardware
from hf_load_options import LoadOptions, for_entry
from hf_model import HfLoader
from tests.hf_lora_rig import make_adapter
from transformers import dynamic_module_utils

from sandle.catalog import CatalogEntry, Offer, Source
from sandle.catalog_file import Quantization
from sandle.engine.runner import LoadedModel, LoadError, Work

GPUS = Hardware(cuda_devices=2)
CODE = """
import transformers


class HouseConfig(transformers.LlamaConfig):
    model_type = 'house'


class HouseForCausalLM(transformers.LlamaForCausalLM):
    config_class = HouseConfig
"""


def entry(folder: Path, **keys: Any) -> CatalogEntry:
    return CatalogEntry('model', 'a model', 'someone', **{'path': folder, **keys})


def load(folder: Path, **keys: Any) -> LoadedModel:
    return HfLoader([entry(folder, **keys)], LoadOptions(slots=2), Hardware()).load('model', lambda line: None)


def refusal(folder: Path, **keys: Any) -> str:
    with pytest.raises(LoadError) as caught:
        load(folder, **keys)
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def folder(llama_folder: Path, tmp_path: Path) -> Path:
    """A model's folder that may be changed."""
    return Path(shutil.copytree(llama_folder, tmp_path / 'model'))


def change_config(folder: Path, **changes: Any) -> None:
    file = folder / 'config.json'
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_entry_goes_before_the_options(tmp_path: Path) -> None:
    usual = LoadOptions(device='cuda', dtype='bfloat16', bits=None)
    assert for_entry(usual, entry(tmp_path), GPUS) == usual
    made = for_entry(usual, entry(tmp_path, dtype='float16', device_map='cuda:1'), GPUS)
    assert (made.dtype, made.device, made.device_map) == ('float16', 'cuda:1', None)
    assert for_entry(usual, entry(tmp_path, device_map={'': 0}), GPUS).device_map == {'': 0}
    assert for_entry(usual, entry(tmp_path, device_map='auto'), GPUS).device_map == 'auto'
    on_cpu = LoadOptions(bits=8)
    assert [for_entry(on_cpu, entry(tmp_path, quantization=wanted), Hardware()).bits
            for wanted in (None, Quantization.NONE, Quantization.INT4, Quantization.AWQ)] == [8, None, 4, None]


@pytest.mark.parametrize(('keys', 'words'), [
    ({'dtype': 'float16'}, '--dtype float16 is for GPUs'), ({'device_map': 'cuda:3'}, '--device cuda:3'),
    ({'quantization': Quantization.INT8}, '8-bit weights and --offload-dir exclude each other')])
def test_what_this_machine_cannot_do_is_known_before_loading(tmp_path: Path, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(DeviceError, match=words):
        for_entry(LoadOptions(offload_dir=tmp_path), entry(tmp_path, **keys), Hardware())


def test_settings_stand_in_place_of_the_configurations(folder: Path) -> None:
    loaded = load(folder, config={'max_position_embeddings': 64, 'num_hidden_layers': 1})
    tokens = [5, 9, 11]
    assert loaded.context_length == 64
    whole = load(folder).runner.step([Work(0, 0, tokens, 3)])
    assert not torch.allclose(loaded.runner.step([Work(0, 0, tokens, 3)]), whole), 'a layer less is another model'


@pytest.mark.parametrize('key', ['no_such_setting', '_attn_implementation', 'to_dict'])
def test_unknown_setting_is_refused(folder: Path, key: str) -> None:
    assert f'config sets {key!r}' in refusal(folder, config={key: 1})


def test_tokenizer_may_be_elsewhere(folder: Path, tmp_path: Path, metaspace: Any) -> None:
    metaspace.save_pretrained(tmp_path / 'words')
    for file in folder.glob('tokenizer*'):
        file.unlink()
    assert 'has no tokenizer' in refusal(folder)
    loaded = load(folder, tokenizer=Source(path=tmp_path / 'words'))
    assert loaded.tokenizer.detokenize(loaded.tokenizer.encode('hello world', False)) == 'hello world'
    assert 'has no tokenizer' in refusal(folder, tokenizer=Source(path=tmp_path))


def test_tokenizer_and_its_code_are_looked_at_wherever_they_are(folder: Path, tmp_path: Path, metaspace: Any) -> None:
    metaspace.save_pretrained(tmp_path / 'words')
    file = tmp_path / 'words/tokenizer_config.json'
    file.write_text(json.dumps(json.loads(file.read_text()) | {'auto_map': {'AutoTokenizer': ['x.X', None]}}))
    assert 'auto_map' in refusal(folder, tokenizer=Source(path=tmp_path / 'words'))


def test_tokenizer_of_the_hub_is_fetched(hub: Any, folder: Path, tmp_path: Path, metaspace: Any) -> None:
    metaspace.save_pretrained(tmp_path / 'words')
    hub.repos['someone/words', 'v2'] = tmp_path / 'words'
    loaded = load(folder, tokenizer=Source(repo='someone/words', revision='v2'))
    assert loaded.tokenizer.detokenize(loaded.tokenizer.encode('hello world', False)) == 'hello world'


def test_code_of_a_model_runs_only_if_its_entry_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch,
                                                        tmp_path: Path) -> None:
    monkeypatch.setattr(dynamic_module_utils, 'HF_MODULES_CACHE', str(tmp_path / 'modules'))
    (folder / 'modeling_house.py').write_text(CODE)
    change_config(folder, model_type='house', auto_map={
        'AutoConfig': 'modeling_house.HouseConfig', 'AutoModelForCausalLM': 'modeling_house.HouseForCausalLM'})
    assert 'asks to run code of its own' in refusal(folder)
    loaded = load(folder, trust_remote_code=True)
    assert loaded.runner.step([Work(0, 0, [5, 9, 11], 1)]).shape == (1, 288)


def test_weights_are_made_small_for_the_entry_that_says_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level('INFO')
    load(folder, quantization=Quantization.INT8)
    assert 'as int8 on cpu' in caplog.text


def test_model_with_a_device_map_is_loaded_by_it(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level('INFO')
    loaded = load(folder, device_map={'': 'cpu'})
    assert loaded.runner.step([Work(0, 0, [5], 1)]).shape == (1, 288)


def test_adapter_of_the_hub_is_fetched(hub: Any, folder: Path, tmp_path: Path) -> None:
    auto_model: Any = transformers.AutoModelForCausalLM
    make_adapter(auto_model.from_pretrained(folder), tmp_path / 'adapter', 0)
    hub.repos['someone/adapter', 'main'] = tmp_path / 'adapter'
    loaded = load(folder, adapters=(Offer('poet', 'poet', 'someone', repo='someone/adapter'),))
    plain, adapted = (loaded.runner.step([Work(0, 0, [5, 9], 1, adapter)]) for adapter in (None, 'poet'))
    assert not torch.allclose(plain, adapted)
