"""Which models there are, and which replica a request for one of them is best sent to.

Requests read what the last polls found and never wait for a backend, but in the first second of the process and, for a
quarter of a second, when a model is asked for that nobody has. Knows models; nothing of completions.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sandle import errors
from sandle.protocol import ModelObject
from wrapper_backend import Backend
from wrapper_monitor import Fitness, Monitor

FIRST_POLL_WAIT_S = 1.0
MISS_WAIT_S = 0.25
UNREACHABLE = {'status': 'error', 'status_message': 'Its backend cannot be reached.', 'progress': None}


class Route:
    """The replicas of a model that one request has not been sent to yet. For the thread of that request."""

    def __init__(self, model_id: str, find: Callable[[], Iterable[Sequence[Monitor]]], lock: threading.Lock) -> None:
        """`find` gives the replicas of the moment in groups, of which the next one counts when the one before is tried.

        `lock` is the one of all routes: choosing and counting are one step, or a burst would go to one replica.
        """
        self._model_id = model_id
        self._find = find
        self._lock = lock
        self._tried: list[Monitor] = []

    def next(self, worst: Fitness = Fitness.LAST) -> Monitor | None:
        """Returns the fittest replica, of equals the one with the fewest requests under way, of these always the first.

        (A lone user's requests so go to one replica, which may know how their texts begin.) The request is counted in
        there. None if there is none left, or none as fit as `worst`.
        """
        for group in self._find():
            monitors = [monitor for monitor in group if monitor not in self._tried]
            with self._lock:
                ranked = [(monitor.fitness(self._model_id), monitor.replica.outstanding, place)
                          for place, monitor in enumerate(monitors)]
                if ranked:
                    fitness, _, place = min(ranked)
                    if fitness > worst:
                        return None
                    monitors[place].replica.begin(self._model_id)
                    self._tried.append(monitors[place])
                    return monitors[place]
        return None

    def leave(self, monitor: Monitor) -> None:
        """Counts the request out where it was counted in."""
        monitor.replica.end(self._model_id)


@dataclass(frozen=True, slots=True)
class Takers:
    """How many replicas requests for a model may be sent to now, and how many are stuck at the others.

    These take nobody's place: a replica that hangs, or drains, must not keep the others from working.
    """

    count: int
    stuck: int


class Registry:
    """The models of all backends, in the order of the backends given. Used from any thread."""

    def __init__(self, backends: Sequence[Backend], allowed_models: frozenset[str] | None) -> None:
        self._backends = backends
        self._allowed_models = allowed_models
        self._first_polls_end_s = 0.0
        self._routing = threading.Lock()
        self._counting = threading.Lock()
        self._by_model: Mapping[str, Sequence[Monitor]] = {}  # another one at every change, so that all may read it
        self._on_change: Callable[[], None] = lambda: None

    def on_change(self, callback: Callable[[], None]) -> None:
        """Has a function called whenever a replica may stand differently, on whatever thread found out."""
        self._on_change = callback

    def start(self) -> None:
        """Begins to follow the backends."""
        self._first_polls_end_s = time.monotonic() + FIRST_POLL_WAIT_S
        for backend in self._backends:
            backend.start(self._changed)

    def stop(self) -> None:
        """Ends the following, and closes connections that wait for use."""
        for backend in self._backends:
            backend.stop()

    def is_ready(self) -> bool:
        """Whether a backend can answer."""
        return any(monitor.state.is_ready for monitor in self.replicas())

    def has(self, model_id: str) -> bool:
        """Whether a backend lists a model, as of the last poll."""
        return self._is_allowed(model_id) and bool(self._having(model_id))

    def replicas(self) -> list[Monitor]:
        """Returns the replicas of all backends."""
        return [monitor for backend in self._backends for monitor in backend.replicas()]

    def models(self) -> list[ModelObject]:
        """Returns the allowed models, each once, as they stand where they stand best.

        Those whose replicas are all lost have the status "error".
        """
        self._wait_for_first_polls()
        found: dict[str, tuple[Fitness, ModelObject]] = {}
        for monitor in self.replicas():
            for model in monitor.state.models.values():
                fitness = monitor.fitness(model.id)
                if self._is_allowed(model.id) and (model.id not in found or fitness < found[model.id][0]):
                    shown = model if monitor.state.is_reachable else model.model_copy(
                        update=UNREACHABLE)
                    found[model.id] = fitness, shown
        return [model for _, model in found.values()]

    def model(self, model_id: str) -> ModelObject:
        """Returns one model. Raises as `route` does."""
        self.route(model_id)
        for model in self.models():
            if model.id == model_id:
                return model
        raise errors.ModelNotFoundError(model_id)

    def route(self, model_id: str) -> Route:
        """Returns the way of one request to a model. Raises ModelNotFoundError, and BadGatewayError when no backend has
        ever been reached."""
        self._wait_for_first_polls()
        if not self._is_allowed(model_id):
            raise errors.ModelNotFoundError(model_id)
        if not self._having(model_id):
            self._poll_all(MISS_WAIT_S)
        if self._having(model_id):
            return Route(model_id, lambda: self._groups(model_id), self._routing)
        if not any(monitor.state.is_known for monitor in self.replicas()):
            raise errors.BadGatewayError('No backend can be reached.')
        raise errors.ModelNotFoundError(model_id)

    def takers(self, model_id: str) -> Takers:
        """Returns where requests for a model may be sent to now: to the replicas that would work on them at once.

        If there are none, to those from which an answer of another kind can be had.
        """
        having = self._having(model_id)
        ready = [monitor for monitor in having if monitor.fitness(model_id) is Fitness.READY]
        takers = ready or [monitor for monitor in having if monitor.can_take(model_id)]
        stuck = sum(monitor.replica.outstanding_for(model_id) for monitor in having if monitor not in takers)
        return Takers(len(takers), stuck)

    def poll_soon(self) -> None:
        """Has every backend looked at now, without waiting."""
        for backend in self._backends:
            backend.poll_soon()

    def _is_allowed(self, model_id: str) -> bool:
        return self._allowed_models is None or model_id in self._allowed_models

    def _changed(self) -> None:
        with self._counting:  # whoever counts last has seen what the others have
            by_model: dict[str, list[Monitor]] = {}
            for monitor in self.replicas():
                for model_id in monitor.state.models:
                    by_model.setdefault(model_id, []).append(monitor)
            self._by_model = by_model
        self._on_change()

    def _having(self, model_id: str) -> Sequence[Monitor]:
        return self._by_model.get(model_id, ())

    def _groups(self, model_id: str) -> Iterator[Sequence[Monitor]]:
        """Yields the replicas that count, and then also the other ways to them."""
        yield self._having(model_id)
        yield [monitor for backend in self._backends for monitor in backend.all_replicas()
               if model_id in monitor.state.models]

    def _wait_for_first_polls(self) -> None:
        if time.monotonic() < self._first_polls_end_s:
            for backend in self._backends:
                backend.wait_for_first_polls(self._first_polls_end_s)

    def _poll_all(self, timeout_s: float) -> None:
        end_s = time.monotonic() + timeout_s
        for rounds, count in [wanted for backend in self._backends for wanted in backend.poll_soon()]:
            rounds.wait(count, max(0.0, end_s - time.monotonic()))
