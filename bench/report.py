"""Writes what was measured as Markdown: absolute figures, ratios from the same run, and the checks beside them."""

from collections.abc import Iterable, Sequence

from bench.measurements import OURS, OURS_LLAMA, Check, Run
from bench.models import SHAPES

NONE = '–'
# What a ratio to a peer must and shall be: concurrency 1, 4, 16, shared prefix, first token (where less is better).
LLAMA_GOALS = (('must', (0.95, 1.0, 1.0, 4.0)), ('aim', (1.0, 1.15, 1.3, 6.0)))
GOALS = {
    (OURS, 'A'): (('must', (1.15, 1.1, 1.0, 1.0, 1.0)), ('aim', (1.4, 1.25, 1.2, 1.5, 0.7))),
    (OURS, 'B'): (('must', (1.1, 1.0, 0.97, 1.0, 1.0)), ('aim', (1.25, 1.15, 1.15, 1.5, 0.8))),
    (OURS_LLAMA, 'A'): LLAMA_GOALS,
    (OURS_LLAMA, 'B'): LLAMA_GOALS,
}
GOAL_PEERS = {OURS: 'vLLM', OURS_LLAMA: 'llama-server'}
SPEED = 'tokens_per_s'
RATIOS = (('greedy', 1, SPEED), ('greedy', 4, SPEED), ('greedy', 16, SPEED), ('shared', 16, SPEED),
          ('greedy', 16, 'first_token_p50_ms'), ('sampled', 1, SPEED), ('sampled', 4, SPEED), ('sampled', 16, SPEED))
RATIO_HEADS = ('', 'greedy 1', '4', '16', 'shared prefix', 'first token at 16 (less is better)', 'sampled 1', '4', '16')
SPEED_COLUMNS = (('greedy', 1), ('greedy', 4), ('greedy', 16), ('greedy', 64), ('shared', 16),
                 ('sampled', 1), ('sampled', 4), ('sampled', 16))
SPEED_HEADS = ('tokens/s', 'greedy 1', '4', '16', '64', 'shared prefix', 'sampled 1', '4', '16')
LATENCY_COLUMNS = tuple((clients, figure) for clients in (1, 16) for figure in (
    'first_token_p50_ms', 'first_token_p99_ms', 'inter_token_p50_ms', 'inter_token_p99_ms'))
LATENCY_HEADS = ('ms, greedy', '1: first token p50', 'p99', 'between tokens p50', 'p99',
                 '16: first token p50', 'p99', 'between tokens p50', 'p99')


def render(run: Run) -> str:
    """Returns the report of a run."""
    parts = [f'Measured on {run.date}: {run.machine}. Medians of {_rounds(run)} round(s).']
    for shape in run.shapes():
        parts += [f'### {describe(shape)}', _speeds(run, shape), _latencies(run, shape)]
        if ratios := _ratios(run, shape):
            parts += ['Ours divided by theirs, in the same run:', ratios]
    if run.checks:
        parts += ['### Checks', _checks(run.checks)]
    if run.failures:
        parts += ['### Not measured',
                  '\n'.join(f'- {one.server}, {one.shape}, round {one.round + 1}: {one.reason.splitlines()[0]}'
                            for one in run.failures)]
    return '\n\n'.join(parts) + '\n'


def describe(name: str) -> str:
    """Returns a heading for a shape."""
    shape = SHAPES[name]
    return (f'{name}: {shape.kind.replace("llama", "LLaMA").replace("opt", "OPT")}, {shape.layers} layers of '
            f'{shape.hidden}, vocabulary {shape.vocabulary}')


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table; the first column holds names, the others figures."""
    lines = [heads, ['---', *['--:'] * (len(heads) - 1)], *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def _rounds(run: Run) -> int:
    return len({one.round for one in run.measured})


def _speeds(run: Run, shape: str) -> str:
    return table((*SPEED_HEADS, 'ready s', 'peak GB'), (
        [server, *(_figure(run.median(shape, server, case, clients, SPEED)) for case, clients in SPEED_COLUMNS),
         _figure(run.start(shape, server, 'ready_s')), _figure(run.start(shape, server, 'peak_rss_bytes'), 1e-9, 2)]
        for server in run.servers(shape)))


def _latencies(run: Run, shape: str) -> str:
    return table(LATENCY_HEADS, (
        [server, *(_figure(run.median(shape, server, 'greedy', *column)) for column in LATENCY_COLUMNS)]
        for server in run.servers(shape)))


def _ratios(run: Run, shape: str) -> str:
    peers = [server for server in run.servers(shape) if server != run.ours]
    if run.ours not in run.servers(shape) or not peers:
        return ''
    rows = []
    for peer in peers:
        rows.append([f'to {peer}', *(_figure(run.ratio(shape, peer, *ratio), digits=2) for ratio in RATIOS)])
        if peer == GOAL_PEERS[run.ours]:
            rows += [_goal_row(run, shape, name, goals) for name, goals in GOALS.get((run.ours, shape), ())]
    return table(RATIO_HEADS, rows)


def _goal_row(run: Run, shape: str, name: str, goals: Sequence[float]) -> list[str]:
    """Returns what the ratios of the row above shall be, each with whether it is."""
    cells = []
    for (case, clients, figure), goal in zip(RATIOS, goals):
        ratio = run.ratio(shape, GOAL_PEERS[run.ours], case, clients, figure)
        is_less_better = figure != SPEED
        is_met = ratio is not None and (ratio <= goal if is_less_better else ratio >= goal)
        verdict = NONE if ratio is None else 'yes' if is_met else '**no**'
        cells.append(f'{"≤" if is_less_better else "≥"} {goal:g} {verdict}')
    return [name, *cells, *[''] * (len(RATIOS) - len(cells))]


def _checks(checks: Sequence[Check]) -> str:
    words = {True: 'yes', False: '**no**', None: NONE}
    return table(('check', 'shape', 'round', 'found', 'asked for', 'met'), (
        [check.name, check.shape, str(check.round + 1), check.value, check.limit, words[check.is_met]]
        for check in checks))


def _figure(value: float | None, factor: float = 1.0, digits: int = 1) -> str:
    return NONE if value is None else f'{value * factor:,.{digits}f}'
