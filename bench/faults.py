"""Runs the tests of faults, and makes a table of what they measured.

Every fault is brought about for real, with processes and sockets, nginx in front; see docs/reliability.md.
"""

import pathlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

import click
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.faults.conftest import FAULT, FIGURE
from tests.faults.figures import FAULTS, Figure

HEAD = '| fault | what must hold | limit | measured | verdict |\n|---|---|---|---|---|\n'
HOLDS, FAILS, SKIPPED = 'holds', '**fails**', 'not measured here'


@dataclass(eq=False, slots=True)  # pytest keeps its plugins by their identity
class Table:
    """A pytest plugin: the rows of every fault, gathered from the reports of its tests."""

    rows: dict[str, list[Figure]] = field(default_factory=lambda: {fault: [] for fault in FAULTS})
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes what a test has measured, or why it did not."""
        fault = next((str(value) for name, value in report.user_properties if name == FAULT), None)
        if fault is None or report.when == 'teardown' and report.passed:
            return
        if report.skipped:
            self.skipped.setdefault(fault, []).append(_reason(report))
        figures = [value for name, value in report.user_properties if name == FIGURE and isinstance(value, Figure)]
        if report.when == 'call':
            self.rows[fault] += figures
        if report.failed and all(figure.holds for figure in figures):  # it failed at something that is no figure
            self.rows[fault].append(Figure(report.nodeid.rpartition('::')[2], 'passes', 'failed', False))

    def render(self) -> str:
        """Returns the table, in Markdown."""
        return HEAD + ''.join(_line(fault, *cells) for fault in FAULTS for cells in self._cells(fault))

    def _cells(self, fault: str) -> Iterable[tuple[str, str, str, str]]:
        for figure in self.rows[fault]:
            yield figure.requirement, figure.limit, figure.measured, HOLDS if figure.holds else FAILS
        for reason in self.skipped.get(fault, [] if self.rows[fault] else ['no test was run']):
            yield reason, '', '', SKIPPED


def _line(*cells: str) -> str:
    return '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |\n'


def _reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix('Skipped: ')


@click.command(help=__doc__, context_settings={'ignore_unknown_options': True})
@click.option('--output', type=click.Path(dir_okay=False, path_type=pathlib.Path), help='Write the table here, too.')
@click.argument('pytest_arguments', nargs=-1)
def main(output: pathlib.Path | None, pytest_arguments: tuple[str, ...]) -> None:
    """Runs, and prints. (The help text is the module's.)"""
    table = Table()
    status = pytest.main(['--rootdir', str(ROOT), '-c', str(ROOT / 'pyproject.toml'), '-q',
                          str(ROOT / 'tests/faults'), *pytest_arguments], plugins=[table])
    click.echo('\n' + table.render())
    if output is not None:
        output.write_text(table.render(), 'utf-8')
    sys.exit(status)


if __name__ == '__main__':
    main()
