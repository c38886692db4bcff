"""The one queue of all requests that go to backends, for the threads that wait in it. Its rules are `wrapper_pools`'.

Nothing polls: whoever ends lets the next ones begin, and the registry says when backends have changed. A thread that
waits looks up now and then, for whether its client is still there; then it also minds the time.
"""

import threading
import time
from collections.abc import Callable

from sandle import errors
from wrapper_keys import Key
from wrapper_pools import Bounds, Place, Pools, Refusal, Status
from wrapper_registry import Takers


class Queue:
    """See the module. Used from any thread; nothing in it blocks but `Turn.wait`."""

    def __init__(self, takers: Callable[[str], Takers], bounds: Bounds,
                 clock: Callable[[], float] = time.monotonic) -> None:
        """`takers` tells how many replicas can take a request for a model now; at once, and on any thread.

        Whenever that may have changed `changed` must be called, which may call `takers`.
        """
        self._pools = Pools(takers, bounds)
        self._clock = clock
        self._lock = threading.Lock()

    def enter(self, key: Key, model: str, cost: int) -> 'Turn':
        """Returns the turn of a request that may cost so many tokens. Raises QueueFullError and ShuttingDownError."""
        with self._lock:
            place = self._pools.enter(key, model, cost, self._clock())
        if place.refusal is not None:
            raise place.refusal
        return Turn(self._lock, self._pools, place, self._clock)

    def changed(self) -> None:
        """Lets begin who can now, since backends may stand differently."""
        with self._lock:
            self._pools.look_at_backends()
            self._pools.let_begin(self._clock())

    def end_all(self) -> None:
        """Refuses all who wait, and all to come: the process ends."""
        with self._lock:
            self._pools.refuse_all(errors.ShuttingDownError(
                'The server is shutting down. Please try again shortly.', retry_after_s=5))

    @property
    def waiting(self) -> dict[str, int]:
        """How many requests wait, by model."""
        with self._lock:
            return {model: len(pool.line) for model, pool in self._pools.by_model.items()}

    @property
    def running(self) -> dict[str, int]:
        """How many requests run, by model."""
        with self._lock:
            return {model: pool.running for model, pool in self._pools.by_model.items()}

    @property
    def refused(self) -> dict[str, int]:
        """How many requests have been refused, by the reasons of `wrapper_pools.Refusal`."""
        with self._lock:
            return {refusal.value: self._pools.refused[refusal] for refusal in Refusal}


class Turn:
    """What a request has of the queue: its turn, which comes, goes back and ends. Used by the thread of the request."""

    def __init__(self, lock: threading.Lock, pools: Pools, place: Place, clock: Callable[[], float]) -> None:
        self._lock = lock
        self._pools = pools
        self._place = place
        self._clock = clock

    @property
    def first_position(self) -> int | None:
        """In how many turns its own was to come when it began to wait; None if it has never waited."""
        return self._place.first_position

    @property
    def has_come(self) -> bool:
        """Whether the request runs."""
        return self._place.status is Status.RUNNING

    def wait(self, timeout_s: float) -> bool:
        """Waits for the turn; returns whether it has come. Raises RateLimitError and UnavailableError."""
        place = self._place
        if not place.moved.wait(timeout_s):
            with self._lock:
                self._pools.look_after(place, self._clock())
        if place.refusal is not None:
            raise place.refusal
        return self.has_come

    def position(self) -> int:
        """Returns in how many turns its own comes, if nothing changes: 1 for the next one, or if it has come."""
        with self._lock:
            return self._pools.position(self._place)

    def put_back(self, cause: errors.ApiError, pause_s: float) -> None:
        """Waits again, as the next of its key: no backend has taken the request.

        For so long, or until `Queue.changed`, nobody of its model begins.
        """
        with self._lock:
            now_s = self._clock()
            self._pools.put_back(self._place, cause, now_s + pause_s, now_s)

    def end(self, cost: int) -> None:
        """Gives the place to others; `cost` is what it has come to, in tokens. May be called twice."""
        with self._lock:
            self._pools.end(self._place, cost, self._clock())
