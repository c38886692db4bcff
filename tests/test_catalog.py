"""models.json: what is accepted, what is refused, and in which words."""

import json
from pathlib import Path

import jsonschema_rs
import pytest

from sandle.catalog import CatalogEntry, CatalogError, Offer, Source, read_catalog
from sandle.catalog_file import Quantization, schema


def write(tmp_path: Path, content: object) -> Path:
    file = tmp_path / 'models.json'
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding='utf-8')
    return file


def test_original_file_is_accepted(tmp_path: Path) -> None:
    original = {'id': 'facebook/opt-125m', 'description': 'OPT 125M', 'object': 'model', 'owned_by': 'facebook',
                'permission': []}
    assert read_catalog(write(tmp_path, [original])) == (
        CatalogEntry(id='facebook/opt-125m', description='OPT 125M', owned_by='facebook', repo='facebook/opt-125m'),)


def test_path_is_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'a').mkdir()
    file = write(tmp_path / 'a', [{'id': 'tiny', 'path': '../models/tiny'}])
    monkeypatch.chdir('/')
    [entry] = read_catalog(file)
    assert entry.path == (tmp_path / 'models' / 'tiny').resolve()
    assert entry.repo is None


def test_repo_and_revision_are_kept_and_the_order_too(tmp_path: Path) -> None:
    entries = read_catalog(write(tmp_path, [
        {'id': 'z'}, {'id': 'short', 'repo': 'someone/long-name', 'revision': 'refs/pr/1'}, {'id': 'a'}]))
    assert [entry.id for entry in entries] == ['z', 'short', 'a']
    assert (entries[1].repo, entries[1].revision) == ('someone/long-name', 'refs/pr/1')


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    [entry] = read_catalog(write(tmp_path, [{'id': 'someone/model'}]))
    assert (entry.description, entry.owned_by, entry.repo) == ('someone/model', 'someone', 'someone/model')


def test_a_model_makes_completions_unless_its_entry_says_otherwise(tmp_path: Path) -> None:
    entries = read_catalog(write(tmp_path, [{'id': 'writer'}, {'id': 'finder', 'kind': 'embedding'}]))
    assert [entry.kind for entry in entries] == ['completion', 'embedding']


@pytest.mark.parametrize(('content', 'words'), [
    ('[', 'is not valid JSON'),
    ('[' * 100_000, 'is not valid JSON'),
    ({'id': 'x'}, 'must hold a list'),
    ([], 'lists no model'),
    ([{'id': 'x'}, 5], "entry 2 must be an object, or a model's id"),
    ([{'id': 'x'}, 'a b'], "entry 2: 'id' must match"),
    ([{'description': 'x'}], "entry 1 has no 'id'"),
    ([{'id': 'x', 'pth': 'y'}], "entry 1 ('x') has the unknown key 'pth'"),
    ([{'id': 5}], "entry 1: 'id' must be a valid string"),
    ([{'id': ''}], "entry 1 (''): 'id' must"),
    ([{'id': 'a b'}], "entry 1 ('a b'): 'id' must"),
    ([{'id': 'x', 'object': 'engine'}], "'object' must be 'model'"),
    ([{'id': 'x', 'path': 5}], "'path' must be a valid string"),
    ([{'id': 'x', 'kind': 'picture'}], "entry 1 ('x'): 'kind' must be 'completion' or 'embedding'"),
    ([{'id': 'x'}, {'id': 'y'}, {'id': 'x'}], "lists 'x' twice"),
    ([{'id': 'x', 'path': 'p', 'repo': 'r'}], 'neither a repo nor a revision'),
    ([{'id': 'x', 'path': 'p', 'revision': 'r'}], 'neither a repo nor a revision'),
    ([{'id': 'x', 'dtype': 'float8'}], "'dtype' must be 'auto', 'bfloat16', 'float16' or 'float32'"),
    ([{'id': 'x', 'quantization': '3bit'}], "'quantization' must be 'none', '8bit', '4bit', 'gptq' or 'awq'"),
    ([{'id': 'x', 'trust_remote_code': 'yes'}], "'trust_remote_code' must be a valid boolean"),
    ([{'id': 'x', 'idle_unload_s': 0}], "'idle_unload_s' must be greater than 0"),
    ([{'id': 'x', 'device_map': 5}], "'device_map' must be a valid string"),
    ([{'id': 'x', 'device_map': {'lm_head': []}}], "'device_map': 'lm_head' must be a valid string"),
    ([{'id': 'x', 'config': []}], "'config' must be a valid dictionary"),
    ([{'id': 'x', 'tokenizer': ''}], "'tokenizer' must have at least 1 character"),
    ([{'id': 'x', 'tokenizer': {}}], "the tokenizer of 'x' has neither a path nor a repo"),
    ([{'id': 'x', 'tokenizer': {'path': 'p', 'repo': 'r'}}], "the tokenizer of 'x' has a path"),
    ([{'id': 'x', 'adapters': [{'id': 'a'}, {}]}], "entry 1 ('x') has no 'adapters': 2: 'id'"),
    ([{'id': 'x', 'adapters': [{'id': 'a', 'dtype': 'auto'}]}], "the unknown key 'adapters': 1: 'dtype'"),
    ([{'id': 'x', 'adapters': [{'id': 'a', 'path': 'p', 'repo': 'r'}]}], "'a' has a path"),
    ([{'id': 'x', 'adapters': [{'id': 'y'}]}, {'id': 'y'}], "lists 'y' twice"),
])
def test_bad_file_is_refused_in_one_line_that_names_it(tmp_path: Path, content: object, words: str) -> None:
    file = write(tmp_path, content)
    with pytest.raises(CatalogError) as caught:
        read_catalog(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_loading_is_told_by_the_entry(tmp_path: Path) -> None:
    [entry] = read_catalog(write(tmp_path, [{
        'id': 'base', 'path': 'model', 'tokenizer': {'repo': 'someone/words', 'revision': 'v2'}, 'dtype': 'bfloat16',
        'device_map': {'': 'cuda:1'}, 'config': {'max_position_embeddings': 64}, 'trust_remote_code': True,
        'quantization': '4bit', 'idle_unload_s': 600, 'kind': 'completion',
        'adapters': [{'id': 'someone/pirate', 'path': 'pirate'}, {'id': 'poet', 'repo': 'other/poet'}]}]))
    assert entry == CatalogEntry(
        'base', 'base', 'sandle', path=tmp_path / 'model', kind='completion',
        tokenizer=Source(repo='someone/words', revision='v2'), dtype='bfloat16', device_map={'': 'cuda:1'},
        config={'max_position_embeddings': 64}, trust_remote_code=True, quantization=Quantization.INT4,
        adapters=(Offer('someone/pirate', 'someone/pirate', 'someone', path=tmp_path / 'pirate'),
                  Offer('poet', 'poet', 'sandle', repo='other/poet')), idle_unload_s=600)


def test_nothing_is_decided_and_no_foreign_code_is_run_unless_the_entry_says_so(tmp_path: Path) -> None:
    [entry] = read_catalog(write(tmp_path, ['someone/model']))
    assert entry == CatalogEntry('someone/model', 'someone/model', 'someone', repo='someone/model')
    assert (entry.trust_remote_code, entry.quantization, entry.adapters) == (False, None, ())


def test_strings_name_a_model_and_a_tokenizer(tmp_path: Path) -> None:
    entries = read_catalog(write(tmp_path, ['a/b', {'id': 'c', 'tokenizer': 'd/e'}]))
    assert [(entry.id, entry.repo) for entry in entries] == [('a/b', 'a/b'), ('c', 'c')]
    assert entries[1].tokenizer == Source(repo='d/e')


def test_schema_in_the_documentation_is_that_of_the_code() -> None:
    documented = Path(__file__).parents[1] / 'docs/models.schema.json'
    assert json.loads(documented.read_text('utf-8')) == schema(), (
        'run `python -m sandle.catalog_file >docs/models.schema.json`')


@pytest.mark.parametrize('content', ['backend-hf/models.json', [{'id': 'x', 'adapters': [{'id': 'y'}]}, 'z']])
def test_schema_takes_what_is_accepted(content: object) -> None:
    if isinstance(content, str):
        content = json.loads((Path(__file__).parents[1] / content).read_text('utf-8'))
    jsonschema_rs.validate(schema(), content)


@pytest.mark.parametrize('entry', [5, '', {'id': 'x', 'pth': 'y'}, {'id': 'x', 'kind': 'oracle'}, {'id': 'a b'},
                                   {'id': 'x', 'adapters': [{'id': 'y', 'dtype': 'auto'}]}])
def test_schema_refuses_what_is_refused(entry: object) -> None:
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(schema(), [entry])


def test_missing_file_and_not_utf8_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match='cannot be read: No such file'):
        read_catalog(tmp_path / 'none.json')
    (tmp_path / 'latin.json').write_bytes(b'[{"id": "\xe9"}]')
    with pytest.raises(CatalogError, match='not valid JSON'):
        read_catalog(tmp_path / 'latin.json')
