"""How one replica stands: what polls find, and what requests report. Knows /v1/models, /ready, and where a
server describes itself."""

import enum
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sandle import errors, jsonbody
from sandle.protocol import ModelObject
from wrapper_dialect import DESCRIPTION_PATH, Dialect, read_dialect
from wrapper_exchange import Exchange, Watcher
from wrapper_listing import OPENAI_CAPABILITIES, lists_capabilities, model_objects
from wrapper_replica import CannotConnectError, Replica
from wrapper_rounds import Rounds

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 2.0
POLL_INTERVAL_UNREADY_S = 0.5
POLL_TIMEOUT_S = 5.0
OVERDUE_S = 1.0  # a poll that takes longer makes a replica the last to be asked, before it is given up as lost
MAX_LISTING_BYTES = 8 * 2 ** 20


class Fitness(enum.IntEnum):
    """How well a replica suits a request for a model: the smaller, the sooner it is asked."""

    READY = 0
    THERE = 1  # but the model is not in memory, or the replica says that it is not ready
    LAST = 2  # out of reach, failed since the last good poll, or cannot load the model


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """What the last poll found. `is_known`: its models, by id, have been listed at least once.

    `is_foreign`: it is another server than ours; `dialect` is what it says of itself, if it has said something.
    """

    models: Mapping[str, ModelObject] = field(default_factory=dict)
    is_known: bool = False
    is_reachable: bool = False
    is_ready: bool = False
    is_foreign: bool = False
    dialect: Dialect | None = None


class Monitor:
    """Follows one replica on a thread of its own. Everything may be read and called on any thread."""

    def __init__(self, replica: Replica, watcher: Watcher, models: Mapping[str, ModelObject],
                 on_change: Callable[[], None], on_failure: Callable[[], object]) -> None:
        """`models` are taken to be there until a poll has found out; `on_change` is called when the state changes."""
        self.replica = replica
        self.state = ReplicaState(models)
        self.rounds = Rounds(f'poll {replica}', self._round, POLL_INTERVAL_UNREADY_S)
        self._watcher = watcher
        self._on_change = on_change
        self._on_failure = on_failure
        self._failures = 0
        self._forgiven = 0
        self._poll_began_s: float | None = None
        self._is_lost = False
        self._dialect: Dialect | None = None
        self._knows_dialect = False

    @property
    def failures(self) -> int:
        """How many requests have failed here so far."""
        return self._failures

    def fitness(self, model_id: str) -> Fitness:
        """Returns how well the replica suits a request for one of its models at this moment."""
        model = self.state.models.get(model_id)
        if (model is None or model.status == 'error' or not self.state.is_reachable
                or self._failures > self._forgiven or self._is_overdue()):
            return Fitness.LAST
        return Fitness.READY if self.state.is_ready and model.status == 'ready' else Fitness.THERE

    def can_take(self, model_id: str) -> bool:
        """Whether a request for a model is to be sent here rather than wait.

        It waits for a replica that is lost, that says that it is not ready, or that is loading the model. One that is
        silent or cannot load the model is asked: that ends in an error that says so.
        """
        state = self.state
        model = state.models.get(model_id)
        if model is None or model.status == 'loading' or self._is_lost:
            return False
        return model.status != 'ready' or state.is_ready or not state.is_reachable

    def report_lost(self) -> None:
        """Notes that a request could not connect: until a poll can, none is to be sent here."""
        self._is_lost = True
        self.report_failure()

    def report_failure(self) -> None:
        """Notes that a request has failed here, as the next one may: until a good poll the replica is asked last."""
        self._failures += 1
        self.rounds.soon()
        self._on_failure()
        self._on_change()

    def stop(self) -> None:
        """Ends the following, and closes connections that wait for use; requests under way go on."""
        self.rounds.stop()
        self.replica.close()

    def _is_overdue(self) -> bool:
        began_s = self._poll_began_s
        return began_s is not None and time.monotonic() - began_s > OVERDUE_S

    def _round(self) -> float:
        self._look()
        if not self.state.is_reachable:
            self._knows_dialect = False  # what comes back may be another server
        elif self.state.is_foreign and not self._knows_dialect:
            self._learn_dialect()
            self._look()
        return POLL_INTERVAL_S if self.state.is_ready else POLL_INTERVAL_UNREADY_S

    def _look(self) -> None:
        failures = self._failures
        self._poll_began_s = time.monotonic()
        try:
            state, reason = self._poll(), ''
            self._forgiven = failures  # a failure since the poll began counts on
            self._is_lost = False
        except (errors.ApiError, OSError) as error:
            state = replace(self.state, is_reachable=False, is_ready=False)
            reason = str(error.__cause__ or error)
            self._is_lost = isinstance(error, CannotConnectError)
        finally:
            self._poll_began_s = None
        self._set(state, reason)

    def _set(self, state: ReplicaState, reason: str) -> None:
        before, self.state = self.state, state
        if state.is_reachable and not before.is_reachable:
            logger.info('backend %s is there with %d models', self.replica, len(state.models))
        elif reason and (before.is_reachable or self.rounds.count == 0):
            logger.warning('backend %s cannot be reached: %s', self.replica, reason)
        if state.is_ready != before.is_ready:
            logger.info('backend %s is %sready', self.replica, '' if state.is_ready else 'not ')
        self._on_change()

    def _poll(self) -> ReplicaState:
        status, body = self._get('/v1/models')
        if status != 200:
            raise errors.BadGatewayError(f'its model listing has status {status}')
        listing = jsonbody.parse_object(body)
        is_foreign = not lists_capabilities(listing)
        capabilities = self._dialect.capabilities() if is_foreign and self._dialect else OPENAI_CAPABILITIES
        models = {model.id: model for model in model_objects(listing, capabilities)}
        status, _ = self._get('/ready')
        return ReplicaState(models, is_known=True, is_reachable=True, is_ready=status in (200, 404),
                            is_foreign=is_foreign, dialect=self._dialect if is_foreign else None)

    def _learn_dialect(self) -> None:
        """Reads what the replica says of itself; if it does not answer, the next round asks again.

        Not a part of the poll: some servers take seconds to write such a description.
        """
        try:
            status, body = self._get(DESCRIPTION_PATH)
        except (errors.ApiError, OSError) as error:
            logger.debug('backend %s does not describe itself yet: %s', self.replica, error)
            return
        try:
            self._dialect = read_dialect(jsonbody.parse_object(body)) if status == 200 else None
        except errors.InvalidRequestError:
            self._dialect = None
        self._knows_dialect = True

    def _get(self, path: str) -> tuple[int, bytes]:
        exchange = Exchange(self.replica, self._watcher, lambda: False)
        try:
            exchange.start('GET', path, None, {'Accept': 'application/json'}, POLL_TIMEOUT_S)
            return exchange.status, exchange.read_all(POLL_TIMEOUT_S, MAX_LISTING_BYTES)
        finally:
            exchange.close()
