"""Which of the models on offer is in memory, which one is wanted there, and how each of them stands.

One model is resident at a time, together with its adapters, which stand as it stands. Asked by HTTP threads, changed by
the engine thread (the one thread that uses the model); a lock guards what both touch.
"""

import logging
import threading
import time
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from sandle import errors
from sandle.engine.download import Download
from sandle.engine.engine import ModelInfo, ModelStatus
from sandle.engine.runner import LoadError, ModelLoader, Report, Resident

logger = logging.getLogger(__name__)

LOADING_RETRY_AFTER_S = 2
FIRST_RETRY_S, LAST_RETRY_S = 5.0, 300.0
LEAVING = 'it leaves memory as soon as nothing is running'
UNUSED_FOR_S = 30.0  # a model loaded for somebody stays at least so long, or until its first request

Model = TypeVar('Model', bound=Resident)


@dataclass(frozen=True, slots=True)
class Failure:
    """A model that could not be loaded, and the time (of `time.monotonic`) from which it may be tried again."""

    cause: str
    wait_s: float
    retry_at_s: float


class Residency(Generic[Model]):
    """The models on offer, and the one in memory. `preload` is wanted from the start, and again whenever it failed."""

    def __init__(self, models: Many[ModelInfo], loader: ModelLoader[Model], preload: str) -> None:
        self._models = {info.id: info for info in models}
        self._loader = loader
        self._preload = preload
        self._lock = threading.Lock()
        self._bases = {info.id: info.parent or info.id for info in models}
        self._loaded: Model | None = None
        self._loaded_id: str | None = None
        self._wanted: str | None = preload
        self._failures: dict[str, Failure] = {}
        self._unused_until_s = 0.0
        self._used_s = 0.0  # when the model in memory was last asked for, or was worked on
        self._is_resting = False  # whether there is none in memory because nobody asked for it, or an operator said so
        self._is_dismissed = False  # whether an operator wants the one in memory to leave it
        self._update(preload, status=ModelStatus.LOADING)

    def models(self) -> list[ModelInfo]:
        """Returns every model on offer. Any thread."""
        with self._lock:
            return list(self._models.values())

    def adapter(self, model: str) -> str | None:
        """Returns what its parent must have for a model on offer: an adapter of the model's own id, or none."""
        return None if self._bases[model] == model else model

    def is_ready(self) -> bool:
        """Returns whether a model is in memory, or was taken out of it only for want of requests. Any thread."""
        return self._loaded is not None or self._is_resting

    def use(self, model: str) -> Model:
        """Returns a model that is in memory; asks for it to be loaded if it is not. Any thread.

        Raises ModelNotFoundError, ModelLoadingError, and UnavailableError with the cause when loading has failed.
        """
        with self._lock:
            base = self._base(model)
            now_s = time.monotonic()
            if self._loaded is not None and self._loaded_id == base and self._wanted is None:
                if self._is_dismissed:
                    raise errors.ModelLoadingError(f'The model {model!r} is being taken out of memory. Please try '
                                                   'again shortly.', retry_after_s=LOADING_RETRY_AFTER_S)
                self._unused_until_s = 0.0
                self._used_s = now_s
                return self._loaded
            failure = self._failures.get(base)
            if failure is not None and now_s < failure.retry_at_s:
                raise errors.UnavailableError(f'The model {model!r} could not be loaded: {failure.cause}',
                                              retry_after_s=int(failure.retry_at_s - now_s) + 1)
            if self._wanted is None and now_s >= self._unused_until_s:
                self._want(base)
            raise errors.ModelLoadingError(
                f'The model {model!r} is being loaded. Please try again shortly.' if self._wanted == base else
                f'The model {model!r} is not loaded, and must wait for another one. Please try again shortly.',
                retry_after_s=LOADING_RETRY_AFTER_S)

    def load(self, model: str) -> None:
        """Asks for a model to be loaded as soon as nothing is running, even if that has just failed. Any thread.

        Raises ModelNotFoundError, and ModelLoadingError while another one is being loaded.
        """
        with self._lock:
            base = self._base(model)
            if self._wanted is not None and self._wanted != base:
                raise errors.ModelLoadingError(f'The model {self._wanted!r} is being loaded. Please try again when '
                                               'that has ended.', retry_after_s=LOADING_RETRY_AFTER_S)
            if self._loaded_id == base:
                self._is_dismissed = False
                self._used_s = time.monotonic()
                self._update(base, status=ModelStatus.READY)
            elif self._wanted is None:
                self._failures.pop(base, None)
                self._want(base)

    def unload(self, model: str) -> None:
        """Asks for a model to be taken out of memory, if it is there, as soon as nothing is running. Any thread.

        The next request for it brings it back. Raises ModelNotFoundError, and ModelLoadingError while it is being
        loaded.
        """
        with self._lock:
            base = self._base(model)
            if self._wanted == base:
                raise errors.ModelLoadingError(f'The model {model!r} is being loaded. Please try again when that has '
                                               'ended.', retry_after_s=LOADING_RETRY_AFTER_S)
            if self._loaded_id == base:
                self._is_dismissed = True
                self._update(base, status=ModelStatus.READY, detail=LEAVING)

    def worked(self) -> None:
        """Notes that the model in memory is at work. Engine thread."""
        self._used_s = time.monotonic()

    def rest(self) -> bool:
        """Takes the model out of memory if it is to leave or nobody has asked for it for long; returns whether it did.

        Engine thread. Nothing may be running.
        """
        with self._lock:
            if self._loaded_id is None or self._wanted is not None:
                return False
            limit_s = self._models[self._loaded_id].idle_unload_s
            if self._is_dismissed:
                reason = 'an operator asked for that'
            elif limit_s is not None and time.monotonic() >= self._used_s + limit_s:
                reason = f'no request for {limit_s:.0f} s'
            else:
                return False
            logger.info('%s is taken out of memory: %s', self._loaded_id, reason)
            self._is_resting = True
            loaded = self._take_out()
        loaded.release()
        return True

    def wants_change(self) -> bool:
        """Returns whether another model is to be loaded. Engine thread."""
        with self._lock:
            failure = self._failures.get(self._preload)
            is_due = failure is not None and time.monotonic() >= failure.retry_at_s
            if self._wanted is None and self._loaded is None and is_due:
                self._want(self._preload)
            return self._wanted is not None

    def change(self) -> Model | None:
        """Releases the model in memory and loads the one wanted; returns None when that fails. Engine thread.

        Nothing may be running. When loading fails, the model that was there before is wanted again, unless it was to
        leave.
        """
        with self._lock:
            assert self._wanted is not None, 'change() follows wants_change()'
            wanted, previous = self._wanted, None if self._is_dismissed else self._loaded_id
        self.release()
        started_s = time.monotonic()
        logger.info('loading %s', wanted)
        try:
            loaded = self._loader.load(wanted, self._reporter(wanted))
        except LoadError as error:
            self._failed(wanted, previous, str(error))
        except Exception:  # an edge: nothing that a model's files make a library raise may end the engine thread
            logger.exception('loading %s failed unexpectedly', wanted)
            self._failed(wanted, previous, 'an internal error, which the log holds')
        else:
            logger.info('%s is ready after %.1f s', wanted, time.monotonic() - started_s)
            self._succeeded(wanted, loaded)
            return loaded
        return None

    def release(self) -> None:
        """Takes the model out of memory, if one is there. Engine thread."""
        with self._lock:
            loaded = None if self._loaded is None else self._take_out()
        if loaded is not None:
            loaded.release()

    def _take_out(self) -> Model:
        assert self._loaded is not None and self._loaded_id is not None, 'there is a model in memory'
        loaded = self._loaded
        self._update(self._loaded_id, status=ModelStatus.AVAILABLE)
        self._loaded = self._loaded_id = None
        self._is_dismissed = False
        self._unused_until_s = 0.0
        return loaded

    def _base(self, model: str) -> str:
        if model not in self._models:
            raise errors.ModelNotFoundError(model)
        return self._bases[model]

    def _want(self, model: str) -> None:
        self._wanted, self._is_resting = model, False
        self._update(model, status=ModelStatus.LOADING)

    def _update(self, model: str, *, status: ModelStatus, detail: str | None = None,
                download: Download | None = None) -> None:
        for member, base in self._bases.items():
            if base == model:
                self._models[member] = replace(self._models[member], status=status, detail=detail, download=download)

    def _reporter(self, model: str) -> Report:
        def report(progress: str | Download) -> None:
            with self._lock:
                self._update(model, status=ModelStatus.LOADING, detail=str(progress),
                             download=progress if isinstance(progress, Download) else None)
        return report

    def _succeeded(self, model: str, loaded: Model) -> None:
        with self._lock:
            self._failures.pop(model, None)
            self._loaded, self._loaded_id, self._wanted = loaded, model, None
            self._used_s = time.monotonic()
            self._unused_until_s = 0.0 if model == self._preload else time.monotonic() + UNUSED_FOR_S
            self._update(model, status=ModelStatus.READY)
            for info in list(self._models.values()):
                if self._bases[info.id] == model:
                    self._models[info.id] = replace(
                        info, context_length=loaded.context_length,
                        capabilities=(info.capabilities | loaded.capabilities) - loaded.lacks)

    def _failed(self, model: str, previous: str | None, cause: str) -> None:
        with self._lock:
            last = self._failures.get(model)
            wait_s = FIRST_RETRY_S if last is None else min(2 * last.wait_s, LAST_RETRY_S)
            self._failures[model] = Failure(cause, wait_s, time.monotonic() + wait_s)
            self._wanted = None
            self._update(model, status=ModelStatus.ERROR, detail=cause)
            if previous is not None:
                self._want(previous)
        logger.error('%s could not be loaded: %s (next try in %.0f s at the earliest)', model, cause, wait_s)
