"""What is wrong with a model's files is told in one line, and nothing half-made stays."""

import json
import pickle
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from llama_convert import Source, to_gguf
from llama_library import Model, load_library
from llama_meta_folder import find_fault
from llama_tokenizer import LlamaTokenizer

from sandle.engine.runner import LoadError
from tests.llama_rig import write_meta

Usage = namedtuple('Usage', 'total used free')


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A folder in the Hugging Face format that may be changed."""
    return Path(shutil.copytree(folder, tmp_path / 'own', ignore=shutil.ignore_patterns('*.gguf')))


@pytest.fixture(scope='module')
def whole_meta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_meta(tmp_path_factory.mktemp('meta') / 'llama', 2)


@pytest.fixture
def meta(whole_meta: Path, tmp_path: Path) -> Path:
    """A checkpoint in Meta's format that may be changed."""
    return Path(shutil.copytree(whole_meta, tmp_path / 'llama'))


def refusal(source: Source, wanted: str | None = None) -> str:
    folder = source.path / (source.model_size or '') if source.path.is_dir() else source.path.parent
    before = {file.name for file in folder.iterdir()}
    with pytest.raises(LoadError) as caught:
        to_gguf(load_library(), source, wanted, None, lambda line: None)
    assert {file.name for file in folder.iterdir()} == before, 'something was left behind'
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(('name', 'words'), [
    ('T/params.json', 'has no params.json'), ('T/consolidated.00.pth', 'has no consolidated.00.pth'),
    ('tokenizer.model', 'has no tokenizer.model')])
def test_missing_file_is_named(meta: Path, name: str, words: str) -> None:
    assert find_fault(meta, 'T') is None
    (meta / name).unlink()
    assert words in (find_fault(meta, 'T') or '') and words in refusal(Source(meta, 'T'))


def test_missing_folder_and_weights_are_named(meta: Path) -> None:
    assert 'has no folder 7B' in (find_fault(meta, '7B') or '')
    for file in (meta / 'T').glob('*.pth'):
        file.unlink()
    assert 'has no weights' in (find_fault(meta, 'T') or '')


def test_missing_last_shard_shows_in_the_shapes(meta: Path) -> None:
    (meta / 'T/consolidated.01.pth').unlink()
    assert 'has 1 of its shards' in refusal(Source(meta, 'T'))


class Evil:
    """A pickle that would make a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_pickle_is_not_run(meta: Path, tmp_path: Path) -> None:
    torch.save({'norm.weight': Evil(tmp_path / 'ran')}, meta / 'T/consolidated.00.pth')
    assert 'holds more than tensors' in refusal(Source(meta, 'T'))
    (meta / 'T/consolidated.00.pth').write_bytes(pickle.dumps(Evil(tmp_path / 'ran'), protocol=2))
    assert 'holds more than tensors' in refusal(Source(meta, 'T'))
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('damage', [lambda data: data[:1000], lambda data: b'', lambda data: b'x' * 5000])
def test_damaged_shard_is_named(meta: Path, damage: 'type') -> None:
    file = meta / 'T/consolidated.01.pth'
    file.write_bytes(damage(file.read_bytes()))
    assert 'consolidated.01.pth is damaged' in refusal(Source(meta, 'T'))


@pytest.mark.parametrize('content', [b'', b'not a tokenizer', b'AA== 0\n', b'AA== 7\nAQ== 3\n'])
def test_damaged_tokenizer_is_named(meta: Path, content: bytes) -> None:
    (meta / 'tokenizer.model').write_bytes(content)
    assert 'tokenizer.model' in refusal(Source(meta, 'T'))


def test_tokenizer_of_another_model_is_named(own: Path) -> None:
    data = json.loads((own / 'tokenizer.json').read_text())
    data['model']['vocab']['zzzz'] = 5000
    (own / 'tokenizer.json').write_text(json.dumps(data))
    assert 'has more tokens than the model (5001 and 3072)' in refusal(Source(own))


@pytest.mark.parametrize(('changes', 'words'), [
    ({'architectures': ['GPT2LMHeadModel']}, 'only LLaMA-shaped models can be converted'),
    ({'hidden_size': None}, 'lacks a number'), ({'num_hidden_layers': 5}, 'lacks tensors, blk.4.'),
    ({'rope_parameters': {'rope_type': 'longrope', 'rope_theta': 1e4}}, 'turns its positions in a way (longrope)')])
def test_model_of_another_shape_is_refused(own: Path, changes: dict[str, object], words: str) -> None:
    config = json.loads((own / 'config.json').read_text())
    (own / 'config.json').write_text(json.dumps(config | changes))
    assert words in refusal(Source(own))


@pytest.mark.parametrize('wanted', [None, 'q8_0'])
def test_short_disk_is_told_before_anything_is_written(own: Path, wanted: str | None,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('shutil.disk_usage', lambda path: Usage(10, 5, 5))
    assert 'The conversion needs 15.3 MiB on the disk' in refusal(Source(own), wanted)


def test_conversion_that_breaks_off_leaves_nothing(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, 'No space left on device', 'somewhere')

    monkeypatch.setattr('gguf.GGUFWriter.write_tensor_data', fail)
    assert 'No space left on device (somewhere)' in refusal(Source(own))


def test_damaged_gguf_is_refused(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / 'model.gguf'
    file.write_bytes(b'GGUF' + b'\0' * 100)
    assert 'cannot be quantized' in refusal(Source(file), 'q8_0')


def test_vocabulary_without_merges_can_be_loaded(own: Path) -> None:
    data = json.loads((own / 'tokenizer.json').read_text())
    data['model']['merges'] = []
    (own / 'tokenizer.json').write_text(json.dumps(data))
    library = load_library()
    file = to_gguf(library, Source(own), None, None, lambda line: None)
    tokenizer = LlamaTokenizer(Model(library, file, vocabulary_only=True))
    assert tokenizer.detokenize(tokenizer.encode('ab', False)) == 'ab' and len(tokenizer.encode('ab', False)) == 2


def test_converted_file_is_kept_until_the_model_changes(own: Path) -> None:
    library = load_library()
    first = to_gguf(library, Source(own), None, None, lambda line: None)
    made = first.stat().st_mtime_ns
    assert to_gguf(library, Source(own), None, None, lambda line: None) == first
    assert first.stat().st_mtime_ns == made
    config = own / 'config.json'
    config.write_text(config.read_text() + ' ')
    assert to_gguf(library, Source(own), None, None, lambda line: None) != first


def test_folder_that_cannot_be_written_uses_the_cache(own: Path, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('os.access', lambda path, mode: False)  # root may write everywhere
    made = to_gguf(load_library(), Source(own), 'f16', tmp_path / 'cache', lambda line: None)
    assert made.parent == tmp_path / 'cache' and list(made.parent.iterdir()) == [made]
