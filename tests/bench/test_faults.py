"""The table of faults, from reports as pytest makes them."""

from typing import Literal

import pytest

from bench.faults import FAILS, HOLDS, SKIPPED, Table
from tests.faults.conftest import FAULT, FIGURE
from tests.faults.figures import FAULTS, Figure, Figures


def report(fault: str, *figures: Figure, outcome: Literal['passed', 'failed', 'skipped'] = 'passed',
           when: Literal['setup', 'call', 'teardown'] = 'call', longrepr: object = None) -> pytest.TestReport:
    properties = [(FAULT, fault), *((FIGURE, figure) for figure in figures)]
    return pytest.TestReport('a/test_x.py::test_it', ('', 0, ''), {}, outcome, longrepr, when,  # type: ignore[arg-type]
                             user_properties=properties)  # what a report carries may be anything, in one process


def lines_of(table: Table, fault: str) -> list[str]:
    return [line for line in table.render().splitlines() if line.startswith(f'| {fault} |')]


def test_every_fault_has_a_row_in_the_order_told() -> None:
    faults = [line.split(' | ')[0].removeprefix('| ') for line in Table().render().splitlines()[2:]]
    assert faults == list(FAULTS)
    assert Table().render().count('no test was run') == len(FAULTS)


def test_figures_are_rows_whether_they_hold_or_not() -> None:
    table = Table()
    table.pytest_runtest_logreport(report('disk full', Figure('is quick', '< 1 s', '0.5 s', True)))
    table.pytest_runtest_logreport(report('disk full', Figure('a|b', '3', '2', False), outcome='failed'))
    assert lines_of(table, 'disk full') == [f'| disk full | is quick | < 1 s | 0.5 s | {HOLDS} |',
                                            f'| disk full | a\\|b | 3 | 2 | {FAILS} |']


def test_a_test_that_fails_without_a_figure_is_a_row() -> None:
    table = Table()
    table.pytest_runtest_logreport(report('disk full', when='setup', outcome='failed'))
    assert lines_of(table, 'disk full') == [f'| disk full | test_it | passes | failed | {FAILS} |']


def test_what_is_skipped_says_why() -> None:
    table = Table()
    table.pytest_runtest_logreport(report('disk full', outcome='skipped', longrepr=('f', 1, 'Skipped: not root')))
    assert lines_of(table, 'disk full') == [f'| disk full | not root |  |  | {SKIPPED} |']


def test_a_figure_that_does_not_hold_is_kept_and_fails_the_test() -> None:
    kept: list[Figure] = []
    figures = Figures(kept.append)
    figures.below('a', 0.123, 0.2)
    figures.at_least('b', 250.4, 95, '%')
    figures.exactly('c', 2, 2)
    with pytest.raises(AssertionError, match='d: 1 s'):
        figures.below('d', 1, 1)
    with pytest.raises(AssertionError, match='e: 1 s'):
        figures.at_least('e', 1, 2, 's')
    with pytest.raises(AssertionError, match='f: 1'):
        figures.exactly('f', 1, 2)
    assert [(figure.limit, figure.measured, figure.holds) for figure in kept] == [
        ('< 0.2 s', '0.12 s', True), ('≥ 95 %', '250 %', True), ('2', '2', True),
        ('< 1 s', '1 s', False), ('≥ 2 s', '1 s', False), ('2', '1', False)]
