"""models.json: what is accepted, what is refused, and in which words."""

import json
from pathlib import Path

import pytest

from sandle.catalog import CatalogEntry, CatalogError, read_catalog


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
    ([{'id': 'x'}, 'y'], 'entry 2 must be an object'),
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
])
def test_bad_file_is_refused_in_one_line_that_names_it(tmp_path: Path, content: object, words: str) -> None:
    file = write(tmp_path, content)
    with pytest.raises(CatalogError) as caught:
        read_catalog(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_missing_file_and_not_utf8_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match='cannot be read: No such file'):
        read_catalog(tmp_path / 'none.json')
    (tmp_path / 'latin.json').write_bytes(b'[{"id": "\xe9"}]')
    with pytest.raises(CatalogError, match='not valid JSON'):
        read_catalog(tmp_path / 'latin.json')
