"""Work that is done again and again on a thread of its own, at intervals, and sooner when somebody asks for it.

Knows clocks and threads; nothing of the work.
"""

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

GAP_S = 0.05  # between two rounds, however often they are asked for


class Rounds:
    """Calls a function that returns the seconds until it wants to be called again. Used from any thread."""

    def __init__(self, name: str, work: Callable[[], float], retry_s: float) -> None:
        """`retry_s`: until the next round after one that has failed by a fault of ours."""
        self._name = name
        self._work = work
        self._retry_s = retry_s
        self._ended = threading.Condition()
        self._count = 0
        self._wake = threading.Event()
        self._is_stopped = False

    @property
    def count(self) -> int:
        """How many rounds have ended."""
        return self._count

    def start(self) -> None:
        """Begins with a first round."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """Ends after the round at hand."""
        self._is_stopped = True
        self._wake.set()

    def soon(self) -> int:
        """Asks for a round now, and returns the number that `wait` takes."""
        self._wake.set()
        return self._count + 1

    def wait(self, count: int, timeout_s: float) -> None:
        """Waits until so many rounds have ended, or for the time given."""
        if self._count < count:
            with self._ended:
                self._ended.wait_for(lambda: self._count >= count, timeout_s)

    def _run(self) -> None:
        while not self._is_stopped:
            self._wake.clear()
            try:
                pause_s = self._work()
            except Exception:  # an edge: a thread that ended here would freeze what is known
                logger.exception('%s failed', self._name)
                pause_s = self._retry_s
            with self._ended:
                self._count += 1
                self._ended.notify_all()
            time.sleep(GAP_S)
            self._wake.wait(pause_s)
