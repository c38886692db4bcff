"""No test waits for a time where it could wait for a condition: each sleep has its reason beside it."""

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE_TESTS = ROOT / 'demo/e2e'


def sleeps_without_reason(source: str) -> list[int]:
    """The lines of Python that call a `sleep` and hold no comment."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    commented = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    calls = {name.start[0] for name, after in zip(tokens, tokens[1:])
             if name.type == tokenize.NAME and name.string == 'sleep' and after.string == '('}
    return sorted(calls - commented)


def waits_without_reason(source: str) -> list[int]:
    """The lines of a page's test that wait for a time and hold no comment."""
    return [number for number, line in enumerate(source.splitlines(), 1)
            if 'waitForTimeout(' in line and not re.search(r'// \w', line)]


@pytest.mark.parametrize(('source', 'lines'), [
    ('time.sleep(1)', [1]), ('time.sleep(1)  # the pace of the drops', []), ('"time.sleep(1)"', []),
    ('\nawait sleep(\n  1)', [2]), ('def sleep() -> None: ...', [1]), ('sleep = 5', [])])
def test_a_sleep_without_a_reason_is_found(source: str, lines: list[int]) -> None:
    assert sleeps_without_reason(source) == lines


def test_a_wait_of_the_page_without_a_reason_is_found() -> None:
    assert waits_without_reason('await page.waitForTimeout(9)\nawait page.waitForTimeout(9) // nothing comes') == [1]


def test_every_sleep_in_a_test_has_its_reason() -> None:
    folders = [ROOT / 'tests', *ROOT.glob('*/tests'), *ROOT.glob('models/*/tests')]
    modules = [module for folder in folders for module in sorted(folder.rglob('*.py'))]
    assert len(modules) > 100
    found = [f'{module.relative_to(ROOT)}:{line}' for module in modules
             for line in sleeps_without_reason(module.read_text('utf-8'))]
    found += [f'{module.relative_to(ROOT)}:{line}' for module in sorted(PAGE_TESTS.glob('*.ts'))
              for line in waits_without_reason(module.read_text('utf-8'))]
    assert not found, f'wait for a condition, or say on the same line why not: {found}'
