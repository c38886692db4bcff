"""Folders that are refused: for what they would run, and for what is missing or not known."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hf_download
import pytest
from hf_device import Hardware
from hf_embedding_model import HfEmbeddingLoader
from tests.hf_embedding_rig import write_folder

from sandle.catalog import CatalogEntry
from sandle.engine.runner import LoadError

Change = Callable[[Path], object]


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Dense. Tests that change files copy it."""
    return write_folder(tmp_path_factory.mktemp('whole'), layers=['Dense', 'Normalize'])


def modules(**changes: object) -> Change:
    """Returns a function that changes the last entry of modules.json."""
    def change(folder: Path) -> None:
        file = folder / 'modules.json'
        entries = json.loads(file.read_text())
        entries[-1] |= changes
        file.write_text(json.dumps(entries))
    return change


def config(path: str, **changes: object) -> Change:
    """Returns a function that changes a JSON file."""
    return lambda folder: (folder / path).write_text(json.dumps(json.loads((folder / path).read_text()) | changes))


@pytest.mark.parametrize(('change', 'words'), [
    (modules(type='custom_code.Evil'), 'code of its own'),
    (modules(path='../../elsewhere'), 'not within the folder'),
    (modules(type='sentence_transformers.models.LSTM'), 'is a LSTM, a module that is not known here'),
    (modules(type=5), 'is damaged'),
    (lambda folder: (folder / 'modules.json').write_text('[]'), 'does not begin with a Transformer'),
    (lambda folder: (folder / 'modules.json').write_text('{}'), 'does not hold a list'),
    (lambda folder: (folder / 'modules.json').write_text('[5]'), 'does not hold an object'),
    (lambda folder: (folder / 'modules.json').write_text('['), 'JSON is not valid'),
    (lambda folder: (folder / '2_Dense/model.safetensors').rename(folder / '2_Dense/pytorch_model.bin'),
     'convert its weights to safetensors'),
    (config('1_Pooling/config.json', pooling_mode='median'), "the pooling 'median'"),
    (config('2_Dense/config.json', activation_function='os.system'), "the activation 'system'"),
    (config('2_Dense/config.json', use_residual=True), 'a Dense of a kind that is not known'),
    (config('config.json', auto_map={'AutoModel': 'evil.Model'}), 'auto_map'),
    (config('config_sentence_transformers.json', default_prompt_name='none'), "the default prompt 'none'"),
    (lambda folder: (folder / 'model.safetensors').unlink(), 'has no weights'),
    (shutil.rmtree, 'There is no folder')])
def test_what_is_wrong_is_said(whole: Path, tmp_path: Path, change: Change, words: str) -> None:
    folder = shutil.copytree(whole, tmp_path / 'changed')
    change(folder)
    loader = HfEmbeddingLoader([CatalogEntry('m', 'm', 'x', path=folder)], 'auto', 'cpu', Hardware())
    with pytest.raises(LoadError, match=words) as raised:
        loader.load('m', lambda progress: None)
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize('fields', [{'config': {'a': 1}}, {'trust_remote_code': True}, {'device_map': 'auto'}])
def test_what_an_entry_cannot_ask_for_is_not_left_out_without_a_word(whole: Path, fields: dict[str, Any]) -> None:
    loader = HfEmbeddingLoader([CatalogEntry('m', 'm', 'x', path=whole, **fields)], 'auto', 'cpu', Hardware())
    with pytest.raises(LoadError, match=f"sets '{next(iter(fields))}' for 'm'"):
        loader.load('m', lambda progress: None)


def test_the_files_of_the_modules_are_fetched_from_the_hub_and_no_others(hub: Any, whole: Path, tmp_path: Path) -> None:
    files = Path(shutil.copytree(whole, tmp_path / 'repository'))
    for name in ('2_Dense/pytorch_model.bin', 'onnx/config.json'):
        (files / name).parent.mkdir(exist_ok=True)
        (files / name).write_bytes(b'{}')
    hub.repos['someone/finder', 'main'] = files
    folder = hf_download.fetch('someone/finder', None, lambda line: None)
    fetched = {file.relative_to(folder).as_posix() for file in folder.rglob('*') if file.is_file()}
    assert {name for name in fetched if '/' in name} == {
        '1_Pooling/config.json', '2_Dense/config.json', '2_Dense/model.safetensors', '3_Normalize/config.json'}
    assert {'modules.json', 'config_sentence_transformers.json', 'sentence_bert_config.json'} <= fetched
    hub.requested.clear()
    assert hf_download.fetch('someone/finder', None, lambda line: None) == folder and hub.requested == []
    (folder / '2_Dense/model.safetensors').unlink()  # as after a download that was broken off
    assert hf_download.fetch('someone/finder', None, lambda line: None) == folder
    assert (folder / '2_Dense/model.safetensors').is_file()
