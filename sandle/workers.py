"""The threads that serve requests. Knows what waitress asks of them; knows nothing of what is served."""

import logging
import threading
from collections import deque
from typing import Protocol

logger = logging.getLogger(__name__)


class Work(Protocol):
    """What a thread is given: waitress's channel with a request."""

    def service(self) -> None:
        """Does it."""


class Worker:
    """A thread's letter box. It waits in `take`, and whoever calls `give` knows that it does."""

    def __init__(self) -> None:
        self._work: Work | None = None
        self._is_filled = threading.Lock()
        self._is_filled.acquire()

    def give(self, work: Work) -> None:
        """Wakes the thread up."""
        self._work = work
        self._is_filled.release()

    def take(self) -> Work:
        """Waits for what is given."""
        self._is_filled.acquire()
        work, self._work = self._work, None
        assert work is not None, 'it is filled before it is released'
        return work


class Workers:
    """So many threads; the one that has rested for the shortest time works next. Used from any thread.

    So a few warm threads do the work of a light load, however many there are. waitress's own dispatcher lets all of
    them take turns. They end with the process.
    """

    def __init__(self, count: int) -> None:
        """Starts the threads."""
        self._lock = threading.Lock()
        self._resting: list[Worker] = []
        self._waiting: deque[Work] = deque()
        for number in range(count):
            threading.Thread(target=self._run, name=f'worker-{number}', daemon=True).start()

    def add_task(self, work: Work) -> None:
        """Has work done as soon as a thread is free; what came first begins first. The name is waitress's."""
        with self._lock:
            if not self._resting:
                self._waiting.append(work)
                return
            worker = self._resting.pop()
        worker.give(work)

    def _run(self) -> None:
        worker = Worker()
        while True:
            try:
                self._next(worker).service()
            except Exception:  # an edge: a thread that ended here would be missing for ever
                logger.exception('a request failed beyond its own handling')

    def _next(self, worker: Worker) -> Work:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._resting.append(worker)
        return worker.take()
