"""Which models there are and which backend has them, kept up to date by one polling thread a backend.

Requests read what the last poll found and never wait for a backend, but in the first second of the process and, for a
quarter of a second, when a model is asked for that nobody has. Knows the models endpoint; nothing of completions.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from sandle import errors, jsonbody
from sandle.protocol import ModelObject
from wrapper_backend import Backend
from wrapper_exchange import Exchange, Watcher

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 2.0
POLL_INTERVAL_UNREADY_S = 0.5
POLL_GAP_S = 0.05  # however often clients ask for models that nobody has
POLL_TIMEOUT_S = 5.0
FIRST_POLL_WAIT_S = 1.0
MISS_WAIT_S = 0.25
MAX_LISTING_BYTES = 8 * 2 ** 20
# What a server that says nothing of its capabilities is taken to have: the rest of OpenAI's own request fields.
OPENAI_CAPABILITIES = ['best_of', 'echo', 'frequency_penalty', 'logit_bias', 'logprobs', 'n', 'presence_penalty',
                       'seed']


@dataclass(frozen=True, slots=True)
class BackendState:
    """What the last poll found. `is_known`: its models have been listed at least once."""

    models: tuple[ModelObject, ...] = ()
    is_known: bool = False
    is_reachable: bool = False
    is_ready: bool = False


def model_objects(listing: Mapping[str, object]) -> tuple[ModelObject, ...]:
    """Reads a model listing; what another server leaves out or words otherwise is filled in.

    Raises BadGatewayError for what is no listing.
    """
    items = listing.get('data')
    if not isinstance(items, list):
        raise errors.BadGatewayError('its model listing is not one')
    found: dict[str, ModelObject] = {}
    for item in items:
        if isinstance(item, dict) and isinstance(item.get('id'), str) and item['id']:
            model = _model_object(item)
            if model is not None:
                found.setdefault(model.id, model)
    return tuple(found.values())


def _model_object(item: dict[str, object]) -> ModelObject | None:
    defaults: dict[str, object] = {
        'created': 0, 'owned_by': '', 'permission': [], 'root': item['id'], 'description': '', 'max_model_len': None,
        'status': 'ready', 'capabilities': OPENAI_CAPABILITIES}
    given = {name: item[name] for name in ModelObject.model_fields if item.get(name) is not None}
    given['permission'] = []
    while True:
        try:
            return ModelObject.model_validate(defaults | given)
        except ValidationError as error:
            wrong = given.keys() & {problem['loc'][0] for problem in error.errors()} - {'id'}
            if not wrong:
                return None
            given = {name: value for name, value in given.items() if name not in wrong}


class Monitor:
    """Follows one backend. `state` may be read on any thread."""

    def __init__(self, backend: Backend, watcher: Watcher) -> None:
        self.backend = backend
        self.state = BackendState()
        self._watcher = watcher
        self._polled = threading.Condition()
        self._poll_count = 0
        self._wake = threading.Event()
        self._is_stopped = False

    def start(self) -> None:
        """Begins to poll, on a thread of its own."""
        threading.Thread(target=self._run, name=f'poll {self.backend.url}', daemon=True).start()

    def stop(self) -> None:
        """Ends the polling after the poll at hand."""
        self._is_stopped = True
        self._wake.set()

    def poll_soon(self) -> int:
        """Asks for a poll now, and returns the number that `wait` takes."""
        self._wake.set()
        return self._poll_count + 1

    def wait(self, poll_count: int, timeout_s: float) -> None:
        """Waits until so many polls have ended, or for the time given."""
        with self._polled:
            self._polled.wait_for(lambda: self._poll_count >= poll_count, timeout_s)

    def _run(self) -> None:
        while not self._is_stopped:
            self._wake.clear()
            try:
                self._set(self._poll(), '')
            except (errors.ApiError, OSError) as error:
                self._set(replace(self.state, is_reachable=False, is_ready=False), str(error.__cause__ or error))
            except Exception:  # an edge: a thread that ended here would freeze what is known of the backend
                logger.exception('polling %s failed', self.backend.url)
            with self._polled:
                self._poll_count += 1
                self._polled.notify_all()
            time.sleep(POLL_GAP_S)
            self._wake.wait(POLL_INTERVAL_S if self.state.is_ready else POLL_INTERVAL_UNREADY_S)

    def _set(self, state: BackendState, reason: str) -> None:
        before, self.state = self.state, state
        if state.is_reachable and not before.is_reachable:
            logger.info('backend %s is there with %d models', self.backend.url, len(state.models))
        elif reason and (before.is_reachable or self._poll_count == 0):
            logger.warning('backend %s cannot be reached: %s', self.backend.url, reason)
        if state.is_ready != before.is_ready:
            logger.info('backend %s is %sready', self.backend.url, '' if state.is_ready else 'not ')

    def _poll(self) -> BackendState:
        self.backend.resolve()
        status, body = self._get('/v1/models')
        if status != 200:
            raise errors.BadGatewayError(f'its model listing has status {status}')
        models = model_objects(jsonbody.parse_object(body))
        status, _ = self._get('/ready')
        return BackendState(models, is_known=True, is_reachable=True, is_ready=status in (200, 404))

    def _get(self, path: str) -> tuple[int, bytes]:
        exchange = Exchange(self.backend, self._watcher, lambda: False)
        try:
            exchange.start('GET', path, None, {'Accept': 'application/json'}, POLL_TIMEOUT_S)
            return exchange.status, exchange.read_all(POLL_TIMEOUT_S, MAX_LISTING_BYTES)
        finally:
            exchange.close()


class Registry:
    """The models of all backends, in the order of the backends given. Used from any thread."""

    def __init__(self, backends: Sequence[Backend], watcher: Watcher, allowed_models: frozenset[str] | None) -> None:
        self._monitors = [Monitor(backend, watcher) for backend in backends]
        self._allowed_models = allowed_models
        self._first_polls_end_s = 0.0

    def start(self) -> None:
        """Begins to follow the backends."""
        self._first_polls_end_s = time.monotonic() + FIRST_POLL_WAIT_S
        for monitor in self._monitors:
            monitor.start()

    def stop(self) -> None:
        """Ends the following, and closes connections that wait for use."""
        for monitor in self._monitors:
            monitor.stop()
            monitor.backend.close()

    def is_ready(self) -> bool:
        """Whether a backend can answer."""
        return any(monitor.state.is_ready for monitor in self._monitors)

    def has(self, model_id: str) -> bool:
        """Whether a backend lists a model, as of the last poll."""
        return self._is_allowed(model_id) and bool(self._having(model_id))

    def backend_states(self) -> list[tuple[Backend, BackendState]]:
        """Returns every backend and what the last poll found of it."""
        return [(monitor.backend, monitor.state) for monitor in self._monitors]

    def models(self) -> list[ModelObject]:
        """Returns the allowed models, each once; those of a backend that is lost have the status "error"."""
        self._wait_for_first_polls()
        found: dict[str, ModelObject] = {}
        for monitor in self._monitors:
            state = monitor.state
            for model in state.models:
                shown = model if state.is_reachable else model.model_copy(
                    update={'status': 'error', 'status_message': 'Its backend cannot be reached.'})
                if self._is_allowed(model.id) and (model.id not in found or found[model.id].status == 'error'):
                    found[model.id] = shown
        return list(found.values())

    def model(self, model_id: str) -> ModelObject:
        """Returns one model. Raises as `backends` does."""
        self.backends(model_id)
        for model in self.models():
            if model.id == model_id:
                return model
        raise errors.ModelNotFoundError(model_id)

    def backends(self, model_id: str) -> list[Backend]:
        """Returns the backends that have a model, the best to ask first: those within reach, the least busy first.

        Raises ModelNotFoundError, and BadGatewayError when no backend has ever been reached.
        """
        self._wait_for_first_polls()
        if not self._is_allowed(model_id):
            raise errors.ModelNotFoundError(model_id)
        having = self._having(model_id)
        if not having:
            self._poll_all(MISS_WAIT_S)
            having = self._having(model_id)
        if having:
            having.sort(key=lambda monitor: (not monitor.state.is_reachable, monitor.backend.outstanding))
            return [monitor.backend for monitor in having]
        if not any(monitor.state.is_known for monitor in self._monitors):
            raise errors.BadGatewayError('No backend can be reached.')
        raise errors.ModelNotFoundError(model_id)

    def poll_soon(self) -> None:
        """Has every backend looked at now, without waiting: one of them was found to be gone."""
        for monitor in self._monitors:
            monitor.poll_soon()

    def _is_allowed(self, model_id: str) -> bool:
        return self._allowed_models is None or model_id in self._allowed_models

    def _having(self, model_id: str) -> list[Monitor]:
        return [monitor for monitor in self._monitors if any(model.id == model_id for model in monitor.state.models)]

    def _wait_for_first_polls(self) -> None:
        for monitor in self._monitors:
            monitor.wait(1, max(0.0, self._first_polls_end_s - time.monotonic()))

    def _poll_all(self, timeout_s: float) -> None:
        end_s = time.monotonic() + timeout_s
        for monitor, count in [(monitor, monitor.poll_soon()) for monitor in self._monitors]:
            monitor.wait(count, max(0.0, end_s - time.monotonic()))
