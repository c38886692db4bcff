"""The embedding thread: it owns the model, and works on the texts of many requests at once. An Embedder.

HTTP threads tokenize, put texts into the line and wait on their handles. Keys take turns in the line; a round takes
some texts out of it and computes those of like length together. Knows neither HTTP nor tensors.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from hf_embedding_requests import EmbeddingModel, RequestHandle, Text, batches, encoded

from sandle import errors
from sandle.embedder import EmbeddingRequest
from sandle.engine.engine import ModelInfo, TextTokenizer
from sandle.engine.residency import Residency
from sandle.engine.runner import ModelLoader
from sandle.fairness import FairLine

logger = logging.getLogger(__name__)

IDLE_WAIT_S = 1.0  # how long the idle thread sleeps before it looks whether a failed model is due for another try
SHUTDOWN_WAIT_S = 5.0
BATCHES_A_ROUND = 4  # more are sorted better, and keep the next key waiting for longer


@dataclass(frozen=True, slots=True)
class EmbeddingOptions:
    """Limits: tokens computed together, padding included, and texts that may wait."""

    max_batch_tokens: int = 4096
    max_queue: int = 4096


class EmbeddingLoop:
    """See sandle.embedder.Embedder. `preload` names the model that is loaded at the start."""

    def __init__(self, models: Sequence[ModelInfo], loader: ModelLoader[EmbeddingModel], preload: str,
                 options: EmbeddingOptions) -> None:
        self._residency: Residency[EmbeddingModel] = Residency(models, loader, preload)
        self._options = options
        self._changed = threading.Condition()  # guards the line and what is counted of it
        self._line: FairLine[str | None, Text] = FairLine()
        self._active = 0  # texts that wait or are worked on
        self._is_stopping = False
        self._model: EmbeddingModel | None = None
        self._thread = threading.Thread(target=self._run, name='embedder', daemon=True)
        self._thread.start()

    def models(self) -> Sequence[ModelInfo]:
        """See Embedder.models."""
        return self._residency.models()

    def is_ready(self) -> bool:
        """See Embedder.is_ready."""
        return self._residency.is_ready() and not self._is_stopping

    def submit(self, request: EmbeddingRequest) -> RequestHandle:
        """See Embedder.submit. Tokenizing happens here, on the caller's thread."""
        model = self._use(request.model)
        handle = RequestHandle(model, [encoded(text, request, model) for text in request.texts])
        with self._changed:
            if self._active and self._active + len(handle.texts) > self._options.max_queue:
                raise errors.QueueFullError('The server is working on as many texts as it can. Please try again '
                                            'shortly.', retry_after_s=1)
            for item in handle.texts:
                self._line.add(request.user, item, len(item.encoded.ids))
            self._active += len(handle.texts)
            self._changed.notify()
        return handle

    def tokenizer(self, model: str) -> TextTokenizer:
        """See Embedder.tokenizer."""
        return self._use(model).tokenizer

    def load(self, model: str) -> None:
        """See ModelManager.load."""
        self._residency.load(model)
        with self._changed:
            self._changed.notify()

    def unload(self, model: str) -> None:
        """See ModelManager.unload; the embedding thread may be asleep for IDLE_WAIT_S before it looks."""
        self._residency.unload(model)

    def shutdown(self) -> None:
        """See Embedder.shutdown."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join(SHUTDOWN_WAIT_S)

    def _use(self, model: str) -> EmbeddingModel:
        """Returns a model that is in memory. Any thread. Raises as `Embedder.submit` does for a model."""
        if self._is_stopping:
            raise _shutting_down()
        try:
            return self._residency.use(model)
        except errors.ModelLoadingError:
            with self._changed:
                self._changed.notify()  # the embedding thread may be asleep
            raise

    def _run(self) -> None:
        """The embedding thread."""
        while not self._is_stopping:
            if texts := self._take():
                self._work(texts)
                self._residency.worked()
            elif self._residency.rest():
                self._model = None
            elif self._residency.wants_change():
                self._model = None
                self._model = self._residency.change()
            else:
                with self._changed:
                    self._changed.wait_for(self._has_something_to_do, IDLE_WAIT_S)
        while texts := self._take():
            self._fail(texts, _shutting_down())
        self._residency.release()

    def _has_something_to_do(self) -> bool:
        return bool(self._line) or self._is_stopping or self._residency.wants_change()

    def _take(self) -> list[Text]:
        """Takes the texts of the next round out of the line."""
        taken: list[Text] = []
        tokens = 0
        with self._changed:
            while tokens < BATCHES_A_ROUND * self._options.max_batch_tokens and (text := self._line.take()) is not None:
                taken.append(text)
                tokens += 0 if text.request.is_cancelled else len(text.encoded.ids)
        return taken

    def _work(self, texts: Sequence[Text]) -> None:
        """Computes texts, and hands on what comes of them."""
        if released := [text for text in texts if text.request.model is not self._model]:
            self._fail(released, errors.ModelLoadingError('The model has just been released. Please try again shortly.',
                                                          retry_after_s=1))
        for batch in batches(texts, self._options.max_batch_tokens):
            wanted = [text for text in batch if not text.request.is_cancelled]
            if wanted and self._is_stopping:
                self._fail(wanted, _shutting_down())
            elif wanted:
                self._compute(wanted)
        with self._changed:
            self._active -= len(texts)
            for text in texts:
                self._line.settle(text, 0 if text.vector is None else len(text.encoded.ids))

    def _compute(self, texts: Sequence[Text]) -> None:
        assert self._model is not None, 'texts of another model have been refused'
        for text in texts:
            text.request.begin(text)
        try:
            vectors = self._model.embed([text.encoded for text in texts])
        except Exception:  # an edge: whatever a model raises ends these requests, and not the thread
            logger.exception('a batch of texts failed; their requests are ended')
            self._fail(texts, errors.InternalError('The model failed while it was working on this request.'))
            return
        for text, vector in zip(texts, vectors, strict=True):
            text.request.done(text, vector)

    @staticmethod
    def _fail(texts: Sequence[Text], error: errors.ApiError) -> None:
        for request in {text.request for text in texts}:
            request.fail(error)


def _shutting_down() -> errors.ShuttingDownError:
    return errors.ShuttingDownError('The server is shutting down. Please try again shortly.', retry_after_s=5)
