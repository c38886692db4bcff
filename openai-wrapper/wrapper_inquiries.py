"""What requests have used whose client left before there was an answer: asked of their backend, and then billed.

That takes the backend a moment, so threads of their own ask. A backend that knows nothing of it, because it is gone, or
another kind of server, leaves the request unbilled. Knows keys and replicas; nothing of how requests are passed on.
"""

import itertools
import logging
import queue
import secrets
import threading
import time

from sandle import errors, protocol
from sandle.app import USAGE_PATH
from wrapper_access import Record
from wrapper_exchange import Exchange, Watcher
from wrapper_limits import Limiter
from wrapper_replica import Replica
from wrapper_usage import Usage, UsageBook

logger = logging.getLogger(__name__)

THREADS = 4  # a backend may let each wait for its WAIT_S
MAX_WAITING = 1024
TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 4096
STOP_WAIT_S = 2.0


class Inquiries:
    """Asks, and bills. Used from any thread."""

    def __init__(self, watcher: Watcher, limiter: Limiter, book: UsageBook) -> None:
        self._watcher = watcher
        self._limiter = limiter
        self._book = book
        self._names = itertools.count()
        self._process = secrets.token_hex(8)  # nobody else can ask by a name that they guess
        self._waiting: queue.Queue[tuple[Replica, str, Record, int]] = queue.Queue(MAX_WAITING)

    def start(self) -> None:
        """Begins to work."""
        for _ in range(THREADS):
            threading.Thread(target=self._run, name='inquiries', daemon=True).start()

    def new_name(self) -> str:
        """Returns a name for a request, by which its backend can be asked for it."""
        return f'{self._process}-{next(self._names)}'

    def ask(self, replica: Replica, name: str, request: Record, requests: int) -> None:
        """Has a request billed soon, as so many requests: 0 if it was counted already. Never waits."""
        try:
            self._waiting.put_nowait((replica, name, request, requests))
        except queue.Full:
            logger.warning('too many requests were left at once: one is not billed')

    def stop(self) -> None:
        """Waits for those that are under way, for a moment."""
        end_s = time.monotonic() + STOP_WAIT_S
        while self._waiting.unfinished_tasks and time.monotonic() < end_s:
            time.sleep(0.01)  # between two looks

    def _run(self) -> None:
        while True:
            replica, name, request, requests = self._waiting.get()
            try:
                usage = self._find(replica, name, requests)
                if usage is not None and request.key is not None:
                    self._limiter.settle(request.key, usage)
                    self._book.add(request.key.name, request.model, usage)
            except (errors.ApiError, ValueError) as error:
                logger.info('the usage of a request that was left is not known: %s', error)
            except Exception:  # an edge: a thread that ended here would leave the others' requests unbilled
                logger.exception('a request that was left is not billed')
            finally:
                self._waiting.task_done()

    def _find(self, replica: Replica, name: str, requests: int) -> Usage | None:
        """Returns the usage that a backend knows; None for nothing used. Raises ApiError and ValueError."""
        exchange = Exchange(replica, self._watcher, lambda: False)
        try:
            exchange.start('GET', USAGE_PATH + name, None, {'Accept': 'application/json'}, TIMEOUT_S)
            body = exchange.read_all(TIMEOUT_S, MAX_ANSWER_BYTES)
            if exchange.status != 200:
                raise errors.NotFoundError(f'{replica} answers with status {exchange.status}')
        finally:
            exchange.close()
        told = protocol.Usage.model_validate_json(body)
        return Usage(told.prompt_tokens, told.completion_tokens, requests) if told.total_tokens else None
