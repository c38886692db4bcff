"""What an engine has done so far, in numbers: counters that are recorded as things happen, and snapshots of them.

Plain Python: knows neither Prometheus, which shows the numbers, nor the clock, which others read.
"""

import bisect
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

OUTCOMES = ('stop', 'length', 'cancelled', 'error', 'rejected')

WAIT_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
TOKEN_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations in classes: `counts[i]` are those of at most `bounds[i]` and above the bound before.

    There is one count more than bounds, of what lies above them all. Counts are not cumulative.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """A moment's state, and all that happened since the start of the process.

    `requests` counts ended requests by outcome, one of OUTCOMES: 'length' when any of its choices ended so, 'rejected'
    when the queue was full. `prompt_tokens` are those of every sequence that got a slot (each of n > 1 candidates has a
    prompt of its own), of which `prefix_hit_tokens` did not have to be computed. `waiting` and `running` count
    sequences. `step_seconds` is the time spent in `steps`, `model_seconds` the model's part of it. `first_token_s` is
    from a request's arrival, `inter_token_s` between a sequence's tokens, `queue_s` from its arrival to its slot.
    """

    requests: Mapping[str, int]
    prompt_tokens: int
    prefix_hit_tokens: int
    completion_tokens: int
    waiting: int
    running: int
    slots: int
    steps: int
    step_seconds: float
    model_seconds: float
    first_token_s: Histogram
    inter_token_s: Histogram
    queue_s: Histogram


class _Classes:
    """A histogram in the making."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect.bisect_left(self._bounds, value)] += 1
        self._sum += value

    def snapshot(self) -> Histogram:
        return Histogram(self._bounds, tuple(self._counts), self._sum)


class Recorder:
    """Counts what happens in an engine. Every method may be called on any thread; each is one locked moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = dict.fromkeys(OUTCOMES, 0)
        self._prompt_tokens = self._prefix_hit_tokens = self._completion_tokens = 0
        self._steps = 0
        self._step_seconds = self._model_seconds = 0.0
        self._first_token_s, self._queue_s = _Classes(WAIT_BOUNDS_S), _Classes(WAIT_BOUNDS_S)
        self._inter_token_s = _Classes(TOKEN_BOUNDS_S)

    def request_ended(self, outcome: str) -> None:
        """Counts a request that has ended, or was never taken, by one of OUTCOMES."""
        with self._lock:
            self._requests[outcome] += 1

    def admitted(self, prompt_tokens: int, prefix_hit_tokens: int, queued_s: float) -> None:
        """Counts a sequence that got a slot, and how much of its prompt need not be computed."""
        with self._lock:
            self._prompt_tokens += prompt_tokens
            self._prefix_hit_tokens += prefix_hit_tokens
            self._queue_s.add(queued_s)

    def first_token(self, elapsed_s: float) -> None:
        """Counts a request's first token, that long after its arrival. Its sequence's tokens count by `token`."""
        with self._lock:
            self._first_token_s.add(elapsed_s)

    def token(self, since_last_s: float | None) -> None:
        """Counts a generated token; None for a sequence's first."""
        with self._lock:
            self._completion_tokens += 1
            if since_last_s is not None:
                self._inter_token_s.add(since_last_s)

    def step(self, step_s: float, model_s: float) -> None:
        """Counts a step of that duration, of which the model took a part."""
        with self._lock:
            self._steps += 1
            self._step_seconds += step_s
            self._model_seconds += model_s

    def snapshot(self, waiting: int, running: int, slots: int) -> EngineStatistics:
        """Returns what has been counted so far, beside a moment's state."""
        with self._lock:
            return EngineStatistics(
                MappingProxyType(dict(self._requests)), self._prompt_tokens, self._prefix_hit_tokens,
                self._completion_tokens, waiting, running, slots, self._steps, self._step_seconds, self._model_seconds,
                self._first_token_s.snapshot(), self._inter_token_s.snapshot(), self._queue_s.snapshot())
