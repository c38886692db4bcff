"""The pages for each kind of user: every command on them is run, or says what it needs that is not here."""

import re
from pathlib import Path

import pytest

from sandle.catalog import read_catalog
from tests.end_to_end.rig import KEY, ROOT, Server
from tests.guides.blocks import ELSEWHERE, MARKS, NEEDS, Block, blocks_of, expected, is_as_expected, run

GUIDES = sorted((ROOT / 'docs').glob('for-*.md'))
BLOCKS = {page.name: blocks_of(page) for page in GUIDES}
LEFT_OUT = [block for blocks in BLOCKS.values() for block in blocks if block.mark in NEEDS]
LINK = re.compile(r'\]\(([^)#\s]+)(?:#([^)\s]+))?\)')


@pytest.fixture(scope='module')
def environment(tiny_backend: Server, tiny_stack: Server, state_dir: Path,
                tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a reader has set, and folders that are not the reader's own."""
    return {'SANDLE_URL': tiny_stack.url, 'SANDLE_API_KEY': KEY, 'SANDLE_STATE_DIR': str(state_dir),
            'SANDLE_BACKEND_HF': tiny_backend.url,
            'LLM_USER_PATH': str(tmp_path_factory.mktemp('llm')), 'TOOL_MODEL': 'stub', 'EMBEDDING_MODEL': 'finder'}


def test_models_file_of_the_operators_page_is_one(tmp_path: Path) -> None:
    [written] = [block.text for block in BLOCKS['for-operators.md'] if block.text.startswith('cat >models.json')]
    (tmp_path / 'models.json').write_text(written.partition('JSON\n')[2].partition('JSON\n')[0], 'utf-8')
    assert [entry.id for entry in read_catalog(tmp_path / 'models.json')] == ['house-model', 'all-MiniLM-L6-v2', 'flan']


def test_there_is_a_page_for_each_kind_of_user() -> None:
    assert list(BLOCKS) == ['for-clients.md', 'for-contributors.md', 'for-operators.md', 'for-writers.md']
    assert all(any(block.mark == 'run' for block in page) for page in BLOCKS.values())
    readme = (ROOT / 'README.md').read_text('utf-8')
    assert all(f'(docs/{name})' in readme for name in BLOCKS)


@pytest.mark.parametrize('page', BLOCKS)
def test_commands_do_what_the_page_says(page: str, environment: dict[str, str]) -> None:
    printed = run(BLOCKS[page], environment)
    for name, wanted in expected(BLOCKS[page]).items():
        assert is_as_expected(printed[name], wanted), f'{name} printed:\n{printed[name]}'


@pytest.mark.parametrize('block', [block for page in BLOCKS.values() for block in page], ids=lambda block: block.name)
def test_every_block_says_what_becomes_of_it(block: Block, environment: dict[str, str]) -> None:
    if block.mark.startswith(ELSEWHERE):
        assert (ROOT / block.mark.removeprefix(ELSEWHERE)).is_file()
    else:
        assert block.mark in MARKS and block.language in ('bash', 'python', 'text', 'yaml')
    if block.mark == 'settings':
        names = re.findall(r'^export (.*)$', block.text, re.MULTILINE)
        assert {pair.partition('=')[0] for line in names for pair in line.split()} <= set(environment)


@pytest.mark.parametrize('block', LEFT_OUT, ids=lambda block: block.name)
def test_what_cannot_be_run_here(block: Block) -> None:
    """So that the summary lists it."""
    pytest.skip(f'{block.name} {NEEDS[block.mark]}')


@pytest.mark.parametrize('page', GUIDES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text('utf-8')):
        if '://' not in target:
            there = page.parent / target
            assert there.exists(), target
            headings = re.findall(r'^#+ (.*)$', there.read_text('utf-8'), re.MULTILINE) if anchor else []
            assert not anchor or anchor in [re.sub(r'[^\w -]', '', each).lower().replace(' ', '-') for each in headings]


def test_comparison_sees_a_difference() -> None:
    assert is_as_expected('\na key: sk-1 of alice\n', 'a key: … of alice\n')
    assert not is_as_expected('a key: sk-1 of bob', 'a key: … of alice')
    assert not is_as_expected('more than that', 'more')


def test_failing_command_fails(environment: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match='no such thing'):
        run([Block('page.md', 1, 'bash', 'run', 'echo no such thing >&2\nfalse\necho and on\n')], environment)
