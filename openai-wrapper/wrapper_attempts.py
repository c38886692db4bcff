"""To which replicas one request is sent, one after the other, until one of them answers.

- A replica that cannot be connected to has seen nothing of the request: the next one is asked.
- A 503 says that nothing was done: another replica is asked if it is ready for the model, else the 503 is the answer.
- A replica that is lost before anything of its answer was passed on may have died of the request: one other replica is
  asked, and no more, so that a request that kills its replica cannot kill them all.
- A request that takes too long, or is answered otherwise, is not sent again.

Knows these rules; nothing of what answers mean.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sandle import errors
from wrapper_dialect import Request
from wrapper_exchange import Exchange, Watcher
from wrapper_monitor import Fitness, Monitor
from wrapper_registry import Route
from wrapper_replica import CannotConnectError, Replica

logger = logging.getLogger(__name__)

MAX_LOST = 2  # replicas that one request may lose


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is sent to replicas. `timeout_s`: until the head of the answer is there."""

    method: str
    path: str
    request: Request | None
    headers: Mapping[str, str]
    timeout_s: float


class Attempts:
    """One request with its replicas. Used by the thread of that request."""

    def __init__(self, outgoing: Outgoing, route: Route, watcher: Watcher, is_client_gone: Callable[[], bool]) -> None:
        self._outgoing = outgoing
        self._route = route
        self._watcher = watcher
        self._is_client_gone = is_client_gone
        self._at_hand: tuple[Monitor, Exchange] | None = None
        self._lost_count = 0
        self._asked = 0

    @property
    def asked(self) -> int:
        """How many replicas have been asked so far."""
        return self._asked

    @property
    def replica(self) -> Replica | None:
        """The replica at hand, if there is one."""
        return None if self._at_hand is None else self._at_hand[0].replica

    @property
    def was_lost(self) -> bool:
        """Whether a replica was lost with the request, and may have died of it."""
        return self._lost_count > 0

    def begin(self) -> Exchange:
        """Returns an exchange of which the answer's head is there. Raises ApiError."""
        return self._ask(errors.BadGatewayError('The backend of this model cannot be reached.'))

    def again(self, lost: errors.BackendLostError) -> Exchange:
        """Returns another exchange in place of one that was lost before anything of it was passed on.

        Raises `lost` if the request may not be sent again, and ApiError.
        """
        self._may_go_on(lost)
        return self._ask(lost)

    def failed(self) -> None:
        """Notes that the replica at hand has failed."""
        if self._at_hand is not None:
            self._at_hand[0].report_failure()

    def close(self) -> None:
        """Ends the request wherever it stands. May be called twice."""
        at_hand, self._at_hand = self._at_hand, None
        if at_hand is not None:
            self._leave(*at_hand)

    def _ask(self, failure: errors.ApiError) -> Exchange:
        """Asks replicas for as long as the rules allow; raises `failure`, or the last one, when none is left."""
        refusal: tuple[Monitor, Exchange] | None = None
        try:
            while (monitor := self._route.next(Fitness.LAST if refusal is None else Fitness.READY)) is not None:
                exchange = Exchange(monitor.replica, self._watcher, self._is_client_gone)
                self._at_hand = monitor, exchange
                self._asked += 1
                sent = self._outgoing
                body = None if sent.request is None else sent.request.body(monitor.state.dialect)
                try:
                    exchange.start(sent.method, sent.path, body, sent.headers, sent.timeout_s)
                except CannotConnectError as error:
                    logger.warning('backend %s cannot be connected to: %s', monitor.replica, error.__cause__)
                    monitor.report_lost()
                    if not self.was_lost:  # else that is what became of it, and it is not to begin from anew
                        failure = error
                except errors.BackendLostError as error:
                    self._may_go_on(error)
                    failure = error
                except errors.GatewayTimeoutError:
                    self.failed()
                    raise
                else:
                    if exchange.status != 503:
                        return exchange
                    monitor.rounds.soon()
                    if refusal is not None:
                        self._leave(*refusal)
                    refusal, self._at_hand = self._at_hand, None
                self.close()
            if refusal is None:
                raise failure
            self._at_hand, refusal = refusal, None
            return self._at_hand[1]
        finally:
            if refusal is not None:
                self._leave(*refusal)

    def _may_go_on(self, lost: errors.BackendLostError) -> None:
        """Notes a loss. Raises it if it is one too many."""
        self.failed()
        self.close()
        self._lost_count += 1
        if self._lost_count == MAX_LOST:
            raise lost

    def _leave(self, monitor: Monitor, exchange: Exchange) -> None:
        exchange.close()
        self._route.leave(monitor)
