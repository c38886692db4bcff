"""The rules of the queue: who may run, who waits and why, whose turn it is, and who must go when it is full.

A request waits while its key has as many running as it may have, while its model's backends have as many as they take,
and while none of them can take any. Each model has a line of its own, fair between keys in tokens. Plain data that
`wrapper_queue` guards with its lock: every method belongs to whoever holds it. Knows nothing of threads or HTTP.
"""

import enum
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from sandle import errors
from sandle.fairness import FairLine
from wrapper_keys import Key
from wrapper_registry import Takers

RETRY_AFTER_S = 1  # a place may become free at any moment
LOST_RETRY_AFTER_S = 5  # a backend takes longer to come back


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many requests may run on one backend, wait in all, and be open (run or wait) in all; how long one waits."""

    max_running: int
    max_waiting: int
    max_open: int
    max_wait_s: float


class Refusal(enum.Enum):
    """Why a request was refused; the values are for metrics."""

    QUEUE_FULL = 'queue_full'
    PARALLEL = 'parallel'
    BUSY = 'busy'
    NO_BACKEND = 'no_backend'


class Status(enum.Enum):
    """Where a request stands."""

    WAITING = 'waiting'
    RUNNING = 'running'
    ENDED = 'ended'


@dataclass(slots=True)
class Pool:
    """The requests for one model. While it is paused none begins; `cause` is what was wrong the last time."""

    model: str
    line: FairLine[str, 'Place'] = field(default_factory=FairLine)
    running: int = 0
    paused_until_s: float = 0.0
    paused_with: int = 0  # so many backends could take requests when the pause began
    cause: errors.ApiError | None = None
    positions: dict['Place', int] | None = None  # 1 for the next one; None when they have changed


@dataclass(slots=True, eq=False)
class Place:
    """One request. `until_s`: how long it may wait; `first_position`: when it began to, None if it never did.

    `moved` is set when it need not wait any longer, whether because it runs or because of `refusal`.
    """

    pool: Pool
    key: Key
    cost: int
    number: int  # in the order of arrival
    until_s: float
    status: Status = Status.WAITING
    first_position: int | None = None
    refusal: errors.ApiError | None = None
    moved: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Standing:
    """Where one key stands, over all models."""

    parallel: int | None = None
    running: int = 0
    waiting: set[Place] = field(default_factory=set)

    @property
    def may_run(self) -> bool:
        """Whether one more of its requests may run."""
        return self.parallel is None or self.running < self.parallel


class Pools:
    """All requests, by model and by key."""

    def __init__(self, takers: Callable[[str], Takers], bounds: Bounds) -> None:
        """`takers` tells how many replicas can take a request for a model."""
        self.refused: Counter[Refusal] = Counter()
        self.by_model: dict[str, Pool] = {}
        self._takers = takers
        self._bounds = bounds
        self._keys: defaultdict[str, Standing] = defaultdict(Standing)
        self._running = 0
        self._waiting = 0
        self._arrivals = 0
        self._end: errors.ApiError | None = None

    def enter(self, key: Key, model: str, cost: int, now_s: float) -> Place:
        """Takes a request in, which then runs, waits or is refused."""
        pool = self.by_model.setdefault(model, Pool(model))
        self._arrivals += 1
        self._keys[key.name].parallel = key.limits.parallel
        place = Place(pool, key, cost, self._arrivals, now_s + self._bounds.max_wait_s)
        self._join(place, is_first=False)
        if self._end is not None:
            self.refuse(place, self._end)
            return place
        self._let_begin(pool, now_s)
        if self._waiting > self._bounds.max_waiting:
            self._make_room(place)
        self._note_position(place)
        return place

    def put_back(self, place: Place, cause: errors.ApiError, paused_until_s: float, now_s: float) -> None:
        """Lets a running request wait again, as the next of its key: no backend has taken it."""
        self._stop(place, 0)
        pool = place.pool
        pool.cause, pool.paused_until_s, pool.paused_with = cause, paused_until_s, self._takers(pool.model).count
        place.moved.clear()
        self._join(place, is_first=True)
        self._note_position(place)
        if self._end is not None:
            self.refuse(place, self._end)
        self.let_begin(now_s)

    def end(self, place: Place, cost: int, now_s: float) -> None:
        """Takes a request out; its place is for others."""
        if place.status is Status.RUNNING:
            self._stop(place, cost)
            place.pool.cause, place.pool.paused_until_s = None, 0.0
            self.let_begin(now_s)
        elif place.status is Status.WAITING:
            self._leave(place)
        place.status = Status.ENDED

    def refuse(self, place: Place, cause: errors.ApiError) -> None:
        """Takes a request that waits out, with an error."""
        self._leave(place)
        place.status, place.refusal = Status.ENDED, cause
        place.moved.set()

    def refuse_all(self, cause: errors.ApiError) -> None:
        """Takes out all that wait, and from now on all that would."""
        self._end = cause
        for place in [place for standing in self._keys.values() for place in standing.waiting]:
            self.refuse(place, cause)

    def look_after(self, place: Place, now_s: float) -> None:
        """Does what time brings: ends a pause that is over, and the patience of one that waits."""
        if place.pool.paused_until_s and now_s >= place.pool.paused_until_s:
            place.pool.paused_until_s = 0.0
            self._let_begin(place.pool, now_s)
        if place.status is Status.WAITING and now_s >= place.until_s:
            refusal, error = self._obstacle(place)
            self.refused[refusal] += 1
            self.refuse(place, error)

    def look_at_backends(self) -> None:
        """Ends the pauses of models for which other backends can take requests than when their pause began."""
        for pool in self.by_model.values():
            if pool.paused_until_s and self._takers(pool.model).count != pool.paused_with:
                pool.paused_until_s = 0.0

    def let_begin(self, now_s: float) -> None:
        """Lets all begin who can, of every model."""
        for pool in self.by_model.values():
            self._let_begin(pool, now_s)

    def position(self, place: Place) -> int:
        """Returns in how many turns its own comes, if nothing changes: 1 for the next one, or if it has come."""
        pool = place.pool
        if pool.positions is None:
            pool.positions = {waiting: number for number, waiting in enumerate(pool.line.order(), 1)}
        return pool.positions.get(place, 1)

    def _let_begin(self, pool: Pool, now_s: float) -> None:
        if not pool.line or pool.paused_until_s > now_s:
            return
        takers = self._takers(pool.model)
        if not takers.count:
            return
        room = min(takers.count * self._bounds.max_running + takers.stuck - pool.running,
                   self._bounds.max_open - self._bounds.max_waiting - self._running)
        while room > 0 and (place := pool.line.take(lambda name: self._keys[name].may_run)) is not None:
            self._forget_waiting(place)
            place.status = Status.RUNNING
            pool.running += 1
            self._keys[place.key.name].running += 1
            self._running += 1
            room -= 1
            place.moved.set()

    def _make_room(self, newcomer: Place) -> None:
        """Refuses the newest request of the key that has most waiting; of several such, the newcomer's own."""
        longest = max(self._keys.values(),
                      key=lambda standing: (len(standing.waiting), newcomer in standing.waiting)).waiting
        self.refused[Refusal.QUEUE_FULL] += 1
        self.refuse(max(longest, key=lambda place: place.number), errors.QueueFullError(
            'As many requests wait as may. Please try again shortly.', retry_after_s=RETRY_AFTER_S))

    def _obstacle(self, place: Place) -> tuple[Refusal, errors.ApiError]:
        """Returns what keeps a request from its turn."""
        standing, pool = self._keys[place.key.name], place.pool
        if not standing.may_run:
            return Refusal.PARALLEL, errors.RateLimitError(
                f'This key may run {standing.parallel} requests at once.', retry_after_s=RETRY_AFTER_S)
        if self._takers(pool.model).count and not pool.paused_until_s:
            return Refusal.BUSY, errors.QueueFullError(
                f'The model {pool.model!r} is too busy. Please try again shortly.', retry_after_s=RETRY_AFTER_S)
        if isinstance(pool.cause, errors.UnavailableError):
            return Refusal.BUSY if isinstance(pool.cause, errors.QueueFullError) else Refusal.NO_BACKEND, pool.cause
        return Refusal.NO_BACKEND, errors.UnavailableError(
            f'No backend of the model {pool.model!r} is ready. Please try again shortly.',
            retry_after_s=LOST_RETRY_AFTER_S)

    def _join(self, place: Place, *, is_first: bool) -> None:
        place.status = Status.WAITING
        place.pool.line.add(place.key.name, place, place.cost, is_first=is_first)
        place.pool.positions = None
        self._keys[place.key.name].waiting.add(place)
        self._waiting += 1

    def _leave(self, place: Place) -> None:
        place.pool.line.remove(place.key.name, place)
        self._forget_waiting(place)

    def _forget_waiting(self, place: Place) -> None:
        place.pool.positions = None
        self._keys[place.key.name].waiting.remove(place)
        self._waiting -= 1

    def _stop(self, place: Place, cost: int) -> None:
        place.pool.line.settle(place, cost)
        place.pool.positions = None
        place.pool.running -= 1
        self._keys[place.key.name].running -= 1
        self._running -= 1

    def _note_position(self, place: Place) -> None:
        if place.status is Status.WAITING and place.first_position is None:
            place.first_position = self.position(place)
