"""What of a model's folder is refused before anything is loaded."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from sandle import checkpoint
from sandle.engine.runner import LoadError


SANDLE_TINY = Path(__file__).resolve().parents[1] / 'models/sandle-tiny'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder that may be changed."""
    folder = tmp_path / 'model'
    folder.mkdir()
    for name in ('config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json',
                 'tokenizer_config.json'):
        shutil.copy(SANDLE_TINY / name, folder)
    return folder


def change_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refusal(folder: Path) -> str:
    with pytest.raises(LoadError) as caught:
        checkpoint.inspect(folder)
    message = str(caught.value)
    assert '\n' not in message
    return message


def split(folder: Path) -> None:
    """Stores the weights in two files and an index, as large models are."""
    weights = safetensors.torch.load_file(folder / 'model.safetensors')
    names = sorted(weights)
    weight_map: dict[str, str] = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f'model-0000{number}-of-00002.safetensors'
        safetensors.torch.save_file({name: weights[name] for name in part}, folder / file, {'format': 'pt'})
        weight_map |= dict.fromkeys(part, file)
    (folder / 'model.safetensors').unlink()
    (folder / 'model.safetensors.index.json').write_text(json.dumps({'metadata': {}, 'weight_map': weight_map}))


def test_whole_model_is_measured_by_its_headers(folder: Path) -> None:
    weights = safetensors.torch.load_file(folder / 'model.safetensors').values()
    expected = checkpoint.Checkpoint(folder, sum(x.numel() for x in weights), sum(x.nbytes for x in weights))
    assert checkpoint.inspect(folder) == expected
    split(folder)
    assert checkpoint.inspect(folder) == expected


def test_missing_folder_and_files_are_named(folder: Path) -> None:
    assert 'There is no folder' in refusal(folder / 'none')
    (folder / 'tokenizer.json').unlink()
    assert 'has no tokenizer' in refusal(folder)
    (folder / 'model.safetensors').unlink()
    assert 'model.safetensors or model.safetensors.index.json is missing' in refusal(folder)
    (folder / 'config.json').unlink()
    assert 'has no config.json' in refusal(folder)


@pytest.mark.parametrize('name', ['pytorch_model.bin', 'model.pt', 'consolidated.00.pth'])
def test_pickle_is_refused_and_never_read(folder: Path, name: str) -> None:
    (folder / 'model.safetensors').unlink()
    torch.save({'x': torch.zeros(1)}, folder / name)
    assert f'only as a pickle ({name})' in refusal(folder)


def test_pickle_beside_safetensors_is_left_alone(folder: Path) -> None:
    (folder / 'pytorch_model.bin').write_bytes(b'not even a pickle')
    checkpoint.inspect(folder)


@pytest.mark.parametrize('name', ['config.json', 'tokenizer_config.json', 'generation_config.json'])
@pytest.mark.parametrize(('changes', 'words'), [
    ({'auto_map': {'AutoModelForCausalLM': 'evil.Model'}}, 'auto_map'),
    ({'text_config': {'auto_map': {}}}, 'auto_map'),
    ({'layers': [{'auto_map': None}]}, 'auto_map'),
    ({'_attn_implementation_internal': 'someone/kernel'}, '_attn_implementation_internal'),
    ({'vision_config': {'_attn_implementation_internal': 'x'}}, '_attn_implementation_internal'),
    ({'transformers_weights': 'pytorch_model.bin'}, 'transformers_weights'),
])
def test_configuration_that_brings_code_is_refused(folder: Path, name: str, changes: dict[str, Any],
                                                   words: str) -> None:
    change_json(folder / name, **changes)
    message = refusal(folder)
    assert words in message and name in message


def test_quantized_weights_and_adapters_are_refused(folder: Path) -> None:
    (folder / 'adapter_config.json').write_text('{"base_model_name_or_path": "someone/base"}')
    assert 'adapter' in refusal(folder)
    (folder / 'adapter_config.json').unlink()
    change_json(folder / 'config.json', quantization_config={'quant_method': 'gptq'})
    assert 'quantized' in refusal(folder)


@pytest.mark.parametrize(('name', 'content'), [
    ('config.json', b'{'), ('config.json', b'[]'), ('config.json', b'\xff\xfe'), ('config.json', b'[' * 100_000),
    ('generation_config.json', b''), ('tokenizer_config.json', b'null')])
def test_damaged_configuration_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    assert f'{name} is damaged' in refusal(folder)


@pytest.mark.parametrize('damage', [
    lambda data: data[:-1], lambda data: data + b'x', lambda data: data[:100], lambda data: b'',
    lambda data: b'\x80\x02', lambda data: b'\xff' * 100,
    lambda data: data[:8] + b'x' + data[9:], lambda data: b'version https://git-lfs\n' * 9,
])
def test_damaged_weights_are_named(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    file = folder / 'model.safetensors'
    file.write_bytes(damage(file.read_bytes()))
    message = refusal(folder)
    assert 'model.safetensors' in message and 'get the model again' in message


def test_header_that_lies_is_named(folder: Path) -> None:
    for header in (b'{"a":5}', b'{"a":{"shape":"x","data_offsets":[0,1]}}', b'{"a":{"shape":[1]}}',
                   b'{"a":{"shape":[1],"data_offsets":[0]}}', b'{"a":{"shape":[1],"data_offsets":[0,"x"]}}'):
        (folder / 'model.safetensors').write_bytes(len(header).to_bytes(8, 'little') + header)
        assert 'damaged header' in refusal(folder)


@pytest.mark.parametrize('name', ['config.json', 'model.safetensors'])
def test_file_that_cannot_be_read_is_named(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = io.open

    def refuse(file: Any, *args: Any, **kwargs: Any) -> Any:
        if str(file).endswith(name):
            raise PermissionError(13, 'Permission denied')
        return opened(file, *args, **kwargs)

    monkeypatch.setattr(io, 'open', refuse)
    assert f'{name} cannot be read: Permission denied' in refusal(folder)


@pytest.mark.parametrize('shard', ['../outside.safetensors', '/etc/passwd', 'pytorch_model.bin', 'a/b.safetensors'])
def test_index_may_name_only_safetensors_in_its_folder(folder: Path, shard: str) -> None:
    split(folder)
    change_json(folder / checkpoint.INDEX, weight_map={'x': shard})
    assert 'not a safetensors file in the same folder' in refusal(folder)


def test_damaged_index_and_missing_shard_are_named(folder: Path) -> None:
    split(folder)
    (folder / 'model-00002-of-00002.safetensors').unlink()
    assert 'model-00002-of-00002.safetensors is missing' in refusal(folder)
    change_json(folder / checkpoint.INDEX, weight_map={'x': 5})
    assert 'no weight_map' in refusal(folder)
