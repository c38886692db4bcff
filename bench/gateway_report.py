"""Writes what was found about gateways as Markdown: figures, ratios of the same round, and what is asked of ours."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.gateway_servers import DIRECT, LITELLM, OURS
from bench.gateway_streams import StreamsResult
from bench.measurements import machine
from bench.report import table

MUST_RATIO, AIM_RATIO = 8.0, 12.0
MUST_ADDED_MS, AIM_ADDED_MS = 1.5, 1.0
MUST_FIRST_TOKEN_S, MUST_RATE, MUST_BYTES = 3.0, 0.95, 250e6
AIM_CHUNKS_PER_S = 10_000.0


@dataclass(frozen=True, slots=True)
class Small:
    """Small unstreamed requests through one gateway by so many clients, in one round."""

    gateway: str
    clients: int
    round: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def render(small: Sequence[Small], streams: Sequence[tuple[StreamsResult, int]],
           chunks: Sequence[StreamsResult]) -> str:
    """Returns the report of a run, or of those parts of it that were measured."""
    parts = [f'Measured on {time.strftime("%Y-%m-%d")}: {machine()}.']
    if small:
        parts += ['Small requests, medians over the rounds:', _small_table(small), _ratios(small)]
    if streams:
        parts += ['Streams through nginx and the wrapper:', _streams_table(streams)]
    if chunks:
        parts += ['Events through one process of the wrapper:', _chunks_table(chunks)]
    return '\n\n'.join(parts) + '\n'


def ratio(small: Sequence[Small], peer: str, clients: int) -> float | None:
    """Returns ours divided by the peer's requests a second, the median over the rounds; None where one is missing."""
    ours, theirs = (_by_round(small, name, clients, lambda one: one.requests_per_s) for name in (OURS, peer))
    return _median(ours[number] / theirs[number] for number in ours.keys() & theirs.keys())


def added_ms(small: Sequence[Small], gateway: str, clients: int) -> float | None:
    """Returns by how much a gateway moves the median latency, the median over the rounds."""
    through, direct = (_by_round(small, name, clients, lambda one: one.p50_ms) for name in (gateway, DIRECT))
    return _median(through[number] - direct[number] for number in through.keys() & direct.keys())


def _by_round(small: Sequence[Small], gateway: str, clients: int, figure: Callable[[Small], float]) -> dict[int, float]:
    return {one.round: figure(one) for one in small if (one.gateway, one.clients) == (gateway, clients)}


def _small_table(small: Sequence[Small]) -> str:
    names = list(dict.fromkeys(one.gateway for one in small))
    clients = sorted({one.clients for one in small})

    def row(name: str) -> list[str]:
        speeds = [_figure(_median(_by_round(small, name, count, lambda one: one.requests_per_s).values()), 0)
                  for count in clients]
        added = [_figure(added_ms(small, name, count), 2) for count in clients]
        cpu = _median(_by_round(small, name, clients[-1], lambda one: one.cpu_us).values())
        return [name, *speeds, *added, _figure(cpu, 0)]

    heads = ['', *(f'requests/s at {count}' for count in clients), *(f'added p50 ms at {count}' for count in clients),
             f'CPU µs a request at {clients[-1]}']
    return table(heads, map(row, names))


def _ratios(small: Sequence[Small]) -> str:
    clients = sorted({one.clients for one in small})
    peers = [name for name in dict.fromkeys(one.gateway for one in small) if name not in (OURS, DIRECT)]
    rows = [[f'wrapper to {peer}', *(_figure(ratio(small, peer, count), 2) for count in clients)] for peer in peers]
    if LITELLM in peers:
        for name, goal in (('must', MUST_RATIO), ('aim', AIM_RATIO)):
            met = [_goal(ratio(small, LITELLM, count), goal, '≥') for count in clients]
            rows.append([f'{name} (to {LITELLM})', *met])
    text = table(['requests/s, ratio', *(f'at {count}' for count in clients)], rows)
    added = added_ms(small, OURS, 1)
    return (f'{text}\n\nAdded p50 of the wrapper at 1 client: {_figure(added, 2)} ms; must '
            f'{_goal(added, MUST_ADDED_MS, "≤")}, aim {_goal(added, AIM_ADDED_MS, "≤")}.')


def _streams_table(streams: Sequence[tuple[StreamsResult, int]]) -> str:
    return table(
        ['streams', 'ended whole', 'first token p50 s', 'p99 s', 'slowest rate', 'delay p50 ms', 'p99 ms',
         'wrapper peak MB', 'met'],
        ([str(one.load.streams), str(one.whole), f'{one.first_token_p50_s:.2f}', f'{one.first_token_p99_s:.2f}',
          f'{one.rate:.3f}', f'{one.delay_p50_ms:.0f}', f'{one.delay_p99_ms:.0f}', f'{memory / 1e6:.0f}',
          _word(one.whole == one.load.streams and one.first_token_p99_s < MUST_FIRST_TOKEN_S
                and one.rate >= MUST_RATE and memory < MUST_BYTES)] for one, memory in streams))


def _chunks_table(chunks: Sequence[StreamsResult]) -> str:
    held = max((one.chunks_per_s for one in chunks if one.keeps_up), default=0.0)
    text = table(
        ['events/s offered', 'passed', 'ended whole', 'slowest rate', 'delay p50 ms', 'p99 ms', 'events a read',
         'keeps up'],
        ([f'{one.load.streams * one.load.tokens_per_s:,.0f}', f'{one.chunks_per_s:,.0f}', str(one.whole),
          f'{one.rate:.3f}', f'{one.delay_p50_ms:.0f}', f'{one.delay_p99_ms:.0f}', f'{one.events_per_read:.1f}',
          _word(one.keeps_up)] for one in chunks))
    return f'{text}\n\nThe most that it kept up with: {held:,.0f} events/s; aim {_goal(held, AIM_CHUNKS_PER_S, "≥")}.'


def _goal(value: float | None, goal: float, sign: str) -> str:
    if value is None:
        return '–'
    return f'{sign} {goal:g} {_word(value >= goal if sign == "≥" else value <= goal)}'


def _word(is_met: bool) -> str:
    return 'yes' if is_met else '**no**'


def _figure(value: float | None, digits: int) -> str:
    return '–' if value is None else f'{value:,.{digits}f}'


def _median(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return statistics.median(numbers) if numbers else None
