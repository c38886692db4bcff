"""The way of a request from its key's limits through the queue to a backend, and what it has used at its end.

An unstreamed request waits for its turn in silence. A streamed one that waits for longer than a second begins its
answer then: it is told its position, and what goes wrong from there on is an event (`wrapper_held`). A request that no
backend has taken, because it is lost, full or still loading its model, waits again.
"""

import time
from collections.abc import Callable, Iterator

import flask

from sandle import app as http
from sandle import errors, sse
from wrapper_access import Record, record
from wrapper_held import held_response
from wrapper_keys import Key
from wrapper_limits import Limiter
from wrapper_queue import Queue, Turn
from wrapper_replica import CannotConnectError
from wrapper_usage import NOTHING, UsageBook

LOOK_S = 0.25  # how often a request that waits looks whether its client is still there
LOST_PAUSE_S = 1.0  # until a backend is tried again that could not be connected to, unless a poll finds it before
POSITION_HEADER = 'x-sandle-queue-position'


class Admission:
    """Lets requests in, one after the other, and counts what they have used. Used from any thread."""

    def __init__(self, limiter: Limiter, queue: Queue, book: UsageBook) -> None:
        self._limiter = limiter
        self._queue = queue
        self._book = book

    def answer(self, model: str, cost: int, is_streamed: bool, ask: Callable[[], flask.Response]) -> flask.Response:
        """Returns the answer to the request at hand, which `ask` gets from a backend once its turn has come.

        `cost` is what it may cost, in tokens. Raises ApiError.
        """
        current = record()
        key = current.key
        assert key is not None, 'what is passed on needs a key'
        turn: Turn | None = None
        try:
            self._limiter.admit(key)
            turn = self._queue.enter(key, model, cost)
            response = self._begin(key, turn, is_streamed, ask)
        except BaseException:
            if turn is not None:
                turn.end(0)
            raise
        finally:
            current.headers = self._limiter.headers(key) | _position_header(turn)
        if response.is_streamed:
            response.call_on_close(lambda: self._end(key, turn, current))  # also when the client leaves
        else:
            current.status = response.status_code
            self._end(key, turn, current)
        return response

    def _begin(self, key: Key, turn: Turn, is_streamed: bool, ask: Callable[[], flask.Response]) -> flask.Response:
        """Returns the answer, or the beginning of one that is to come."""
        tries = self._tries(key, turn, ask)
        hold_at_s = time.monotonic() + sse.QUEUE_AFTER_S
        for response in tries:
            if response is not None:
                return response
            if is_streamed and time.monotonic() >= hold_at_s:
                return held_response(tries, turn.position)
        raise AssertionError('tries end with an answer or an error')

    def _tries(self, key: Key, turn: Turn, ask: Callable[[], flask.Response]) -> Iterator[flask.Response | None]:
        """Yields None now and then while the request waits, and then its answer. Raises ApiError."""
        is_gone = http.client_disconnected()
        while True:
            while not turn.wait(LOOK_S):
                if is_gone():
                    raise errors.ClientGoneError('The client has closed its connection.')
                yield None
            if turn.first_position is not None:
                self._limiter.check(key)
            try:
                yield ask()
                return
            except CannotConnectError as error:
                turn.put_back(error, LOST_PAUSE_S)
            except (errors.ModelLoadingError, errors.QueueFullError) as error:
                turn.put_back(error, float(error.retry_after_s or 1))

    def _end(self, key: Key, turn: Turn, current: Record) -> None:
        usage = current.cost() if turn.has_come else NOTHING
        turn.end(usage.tokens)
        self._limiter.settle(key, usage)
        if usage != NOTHING:
            self._book.add(key.name, current.model, usage)


def _position_header(turn: Turn | None) -> dict[str, str]:
    return {} if turn is None or turn.first_position is None else {POSITION_HEADER: str(turn.first_position)}
