"""docs/configuration.md names every option of every component, with its environment variable and its default."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / 'docs/configuration.md').read_text('utf-8')
COMPONENTS = ('openai-wrapper', 'backend-hf', 'backend-stub', 'backend-llama', 'backend-ct2')
SHARED = ('--host', '--port', '--log-level', '--log-format', '--max-body-bytes', '--receive-timeout-s',
          '--send-timeout-s', '--drain-timeout-s')
Row = tuple[frozenset[str], str, str]  # names, environment variable, default


def command_of(component: str) -> click.Command:
    if component == 'backend-llama':
        pytest.importorskip('gguf', reason='its requirements are installed for those who use it')
    script = ROOT / component / f'serve-{component}.py'
    spec = importlib.util.spec_from_file_location(script.stem.replace('-', '_'), script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert isinstance(module.main, click.Command)
    return module.main


def rows_of(section: str) -> set[Row]:
    (text,) = re.findall(rf'^## {re.escape(section)}\n(.*?)(?=^## |\Z)', PAGE, re.M | re.S)
    rows = set()
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip('|').split(' | ')]
        if len(cells) == 4 and cells[1].startswith('`SANDLE_'):
            assert cells[3], f'{line} says nothing'
            shown = re.fullmatch('`(.*)`', cells[2])
            rows.add((frozenset(re.findall('`([^`]+)`', cells[0])), cells[1].strip('`'),
                      shown[1] if shown else cells[2]))
    return rows


def expected_rows(command: click.Command, is_shared: bool) -> Iterator[Row]:
    for parameter in command.params:
        names = parameter.opts if isinstance(parameter, click.Option) else [
            parameter.make_metavar(click.Context(command)).strip('[]')]  # for an argument that may be left out
        if (names[-1] in SHARED) == is_shared:
            variable = parameter.envvar or f'SANDLE_{(parameter.name or "").upper()}'
            yield (frozenset(names), variable if isinstance(variable, str) else variable[0], default_of(parameter))


def default_of(parameter: click.Parameter) -> str:
    shown = getattr(parameter, 'show_default', None)
    default: Any = parameter.default
    if isinstance(shown, str):
        return shown
    if isinstance(default, (int, float)) and not isinstance(default, bool):
        return f'{default:.15g}'
    return default if isinstance(default, str) else '–'


@pytest.mark.parametrize('component', COMPONENTS)
def test_every_option_is_documented_and_nothing_else(component: str) -> None:
    command = command_of(component)
    assert rows_of(component) == set(expected_rows(command, is_shared=False))
    assert rows_of('Every component') == set(expected_rows(command, is_shared=True))


@pytest.mark.parametrize('component', COMPONENTS)
def test_every_option_has_a_help_text(component: str) -> None:
    assert not [parameter.name for parameter in command_of(component).params
                if isinstance(parameter, click.Option) and not parameter.help]


def test_what_docker_reads_is_documented() -> None:
    read = {name for file in ROOT.glob('docker-compose*.yml')
            for name in re.findall(r'\$\{(\w+)[:?}-]', file.read_text('utf-8'))}
    assert {name for name in read if f'`{name}`' not in PAGE} == set()
