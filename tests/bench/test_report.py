"""The tables hold what was measured, and say of each goal whether it was met."""

from dataclasses import replace

import pytest

from bench.checks import Place, many_clients
from bench.load import Result
from bench.measurements import OURS, Check, Failure, Measured, Run, Start
from bench.report import render, table

RESULT = Result('greedy', 1, 2, 256, 2.0, 128.0, 50.0, 60.0, 8.0, 9.0, 10.0, 0.01, 0)


def measured(server: str, tokens_per_s: float, first_ms: float = 50.0, case: str = 'greedy', clients: int = 1,
             number: int = 0) -> Measured:
    return Measured('A', server, number, replace(RESULT, case=case, concurrency=clients, tokens_per_s=tokens_per_s,
                                                 first_token_p50_ms=first_ms))


def row(text: str, name: str, occurrence: int = 0) -> list[str]:
    """Returns the cells of a row of the report's tables."""
    rows = [line for line in text.splitlines() if line.startswith(f'| {name} |')]
    return [cell.strip() for cell in rows[occurrence].strip('|').split('|')]


@pytest.fixture
def run() -> Run:
    """Two rounds of two servers, in the second of which the machine was half as fast."""
    return Run('a machine', '2026-11-20', [
        measured(OURS, 120), measured('vLLM', 100), measured(OURS, 60, number=1), measured('vLLM', 50, number=1),
        measured(OURS, 90, 80, clients=16), measured('vLLM', 100, 100, clients=16)],
        [Start('A', OURS, 0, 5.0, 1_500_000_000, 1_200_000_000)])


def test_figures_are_medians_and_ratios_are_of_one_round(run: Run) -> None:
    text = render(run)
    assert 'Measured on 2026-11-20: a machine. Medians of 2 round(s).' in text
    assert row(text, OURS) == [OURS, '90.0', '–', '90.0', '–', '–', '–', '–', '–', '5.0', '1.50']
    assert row(text, 'to vLLM')[1:6] == ['1.20', '–', '0.90', '–', '0.80']


def test_goals_say_whether_they_are_met(run: Run) -> None:
    text = render(run)
    assert row(text, 'must')[1:6] == ['≥ 1.15 yes', '≥ 1.1 –', '≥ 1 **no**', '≥ 1 –', '≤ 1 yes']
    assert row(text, 'aim')[1:6] == ['≥ 1.4 **no**', '≥ 1.25 –', '≥ 1.2 **no**', '≥ 1.5 –', '≤ 0.7 **no**']


def test_a_run_without_peers_has_no_ratios(run: Run) -> None:
    run.measured = [one for one in run.measured if one.server == OURS]
    text = render(run)
    assert 'must' not in text and row(text, OURS)[1] == '90.0'


def test_checks_and_failures_are_shown(run: Run) -> None:
    run.checks = [Check('A', 0, 'ready', '12 s', '≤ 10 s', False), Check('A', 0, 'gap', 'x', '≤ 1', None)]
    run.failures = [Failure('A', 'naive', 1, 'it fell over\nand wrote this')]
    text = render(run)
    assert row(text, 'ready')[-1] == '**no**' and row(text, 'gap')[-1] == '–'
    assert '- naive, A, round 2: it fell over\n' in text and 'wrote this' not in text


def test_every_row_of_a_table_is_as_long_as_its_head(run: Run) -> None:
    tables = [block.splitlines() for block in render(run).split('\n\n') if block.startswith('|')]
    assert len(tables) == 3
    for lines in tables:
        assert len({line.count('|') for line in lines}) == 1 and len(lines) >= 3
    assert table(('a', 'b'), [['c', 'd']]) == '| a | b |\n| --- | --: |\n| c | d |'


def test_many_clients_compares_the_same_round(run: Run) -> None:
    run.measured.append(measured(OURS, 99, clients=64))
    check = many_clients(run, OURS, Place('A', 0))
    assert check.value == '1.10' and check.is_met
    assert many_clients(run, OURS, Place('A', 1)).is_met is None


def test_limits_in_seconds_and_bytes_are_those_of_shape_a() -> None:
    assert Place('A', 0).check('x', '1', '2', True, only_small=True).is_met
    assert Place('B', 0).check('x', '1', '2', True, only_small=True).is_met is None
    assert Place('B', 0).check('x', '1', '2', False).is_met is False
