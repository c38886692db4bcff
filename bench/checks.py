"""What our own server must hold to beside its speed: memory, readiness, fairness to streams, and little overhead."""

import asyncio
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import requests

from bench.client import AnswerError, complete
from bench.load import Case, Dialect, LoadError, bodies, measure
from bench.measurements import Check, Run
from bench.servers import CONTEXT_TOKENS, Running

READY_S = 10.0
MEMORY_BYTES = 2e9
OVERHEAD_SHARE = 0.10
LONGEST_GAP_S = 0.25
STREAMS = 8
LONG_PROMPT_TOKENS = 2000
SMALL_SHAPE = 'A'  # the limits in seconds and bytes are this shape's
STEP_S, MODEL_S = 'sandle_step_seconds_total', 'sandle_model_seconds_total'


@dataclass(frozen=True, slots=True)
class Place:
    """Where a check belongs in the report."""

    shape: str
    round: int

    def check(self, name: str, value: str, limit: str, is_met: bool | None, only_small: bool = False) -> Check:
        """Returns a check; with `only_small` its limit holds for the small shape alone."""
        has_limit = self.shape == SMALL_SHAPE or not only_small
        return Check(self.shape, self.round, name, value, limit if has_limit else 'no limit',
                     is_met if has_limit else None)


def run_checks(running: Running, dialect: Dialect, place: Place, slots: int) -> Iterator[Check]:
    """Runs the checks that need the server. Raises LoadError."""
    yield place.check('ready after start', f'{running.ready_s:.1f} s', f'≤ {READY_S:g} s', running.ready_s <= READY_S,
                      only_small=True)
    yield _overhead(running, dialect, place, slots)
    try:
        gap_s, first_token_s = asyncio.run(longest_gap(running.url, dialect, f'gap {place}'))
    except (AnswerError, OSError) as error:
        raise LoadError(f'a long prompt beside streams: {error!r}') from None
    yield place.check(f'longest gap in {STREAMS} streams while a prompt of {LONG_PROMPT_TOKENS} tokens arrives',
                      f'{1000 * gap_s:.0f} ms (its first token: {first_token_s:.2f} s)',
                      f'≤ {1000 * LONGEST_GAP_S:g} ms', gap_s <= LONGEST_GAP_S, only_small=True)
    measure(running.url, Case('full', slots, slots, CONTEXT_TOKENS - 40, max_tokens=32), dialect, f'full {place}')
    peak = running.processes.peak_rss_bytes()
    yield place.check(f'peak of resident memory, {slots} slots of {CONTEXT_TOKENS} tokens filled',
                      f'{peak / 1e9:.2f} GB', f'< {MEMORY_BYTES / 1e9:g} GB', peak < MEMORY_BYTES, only_small=True)


def many_clients(run: Run, server: str, place: Place) -> Check:
    """Returns the check that 64 clients get no less than 16, from what was measured in this round."""
    speeds = {one.result.concurrency: one.result.tokens_per_s for one in run.measured if one.result.case == 'greedy'
              and (one.shape, one.server, one.round) == (place.shape, server, place.round)}
    name, limit = 'tokens/s at concurrency 64 against 16', '≥ 1'
    if 16 not in speeds or 64 not in speeds:
        return place.check(name, 'not measured', limit, None)
    ratio = speeds[64] / speeds[16]
    return place.check(name, f'{ratio:.2f}', limit, ratio >= 1)


def _overhead(running: Running, dialect: Dialect, place: Place, slots: int) -> Check:
    """Returns the check of the step's share outside the model's forward, with every slot in use."""
    name, limit = f"share of the step outside the model's forward, batch {slots}", f'< {OVERHEAD_SHARE:.0%}'
    before = metrics(running.url)
    measure(running.url, Case('overhead', slots, slots), dialect, f'overhead {place}')
    after = metrics(running.url)
    if STEP_S not in after or MODEL_S not in after:
        return place.check(name, 'the server does not say', limit, None)
    step_s, model_s = (after[key] - before.get(key, 0.0) for key in (STEP_S, MODEL_S))
    if step_s == 0:
        return place.check(name, 'no step was counted', limit, None)
    share = 1 - model_s / step_s
    return place.check(name, f'{share:.1%}', limit, share < OVERHEAD_SHARE)


def metrics(url: str) -> Mapping[str, float]:
    """Returns a server's metrics by name, those of several labels added up; nothing if it has none."""
    with requests.Session() as session:
        session.trust_env = False
        response = session.get(f'{url}/metrics', timeout=10)
    found: dict[str, float] = {}
    for line in response.text.splitlines() if response.status_code == 200 else ():
        if match := re.fullmatch(r'(\w+)(?:\{.*\})? (\S+)', line):
            with contextlib.suppress(ValueError):
                found[match[1]] = found.get(match[1], 0.0) + float(match[2])
    return found


async def longest_gap(url: str, dialect: Dialect, seed: str, tokens: int = 384) -> tuple[float, float]:
    """Returns the longest silence of running streams while a long prompt arrives, and the seconds to its first token.

    Raises AnswerError, OSError, and LoadError when the streams ended too early to say.
    """
    case = Case('streams', STREAMS, STREAMS, max_tokens=tokens)
    streams = [asyncio.create_task(complete(url, body)) for body in bodies(case, dialect, seed)]
    # Half of the streams' time later they are all at their decoding, since this is what one of them takes alone.
    (probe,) = bodies(replace(case, requests=1, max_tokens=tokens // 4), dialect, f'{seed} probe')
    await complete(url, probe)
    (body,) = bodies(Case('long', 1, 1, LONG_PROMPT_TOKENS, max_tokens=8), dialect, f'{seed} long')
    long = await complete(url, body)
    answers = await asyncio.gather(*streams)
    end_s = long.sent_s + long.first_token_s
    gaps = [later - earlier for answer in answers for earlier, later in zip(answer.arrivals, answer.arrivals[1:])
            if later >= long.sent_s and earlier <= end_s]
    if not gaps:
        raise LoadError('the streams had ended before the long prompt arrived')
    return max(gaps), long.first_token_s
