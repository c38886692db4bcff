"""An Engine beside an Embedder, or in its absence nothing: together they are what a backend offers.

Knows which of the two a model belongs to; nothing of what they do.
"""

from collections.abc import Sequence

from sandle import errors
from sandle.embedder import Embedder
from sandle.engine.engine import Engine, GenerationRequest, Handle, ModelInfo, ModelStatus, TextTokenizer
from sandle.engine.statistics import EngineStatistics, Recorder


class EngineWithEmbedder:
    """Implements `sandle.engine.engine.Engine`, with the models of both. `engine` is None for embeddings alone."""

    def __init__(self, engine: Engine | None, embedder: Embedder) -> None:
        self._engine = engine
        self._embedder = embedder

    def models(self) -> Sequence[ModelInfo]:
        """See Engine.models: those that write text come first."""
        return [*(() if self._engine is None else self._engine.models()), *self._embedder.models()]

    def is_ready(self) -> bool:
        """Returns whether one of the two serves, and none is still loading.

        So neither is kept from its users because the other one's model cannot be loaded.
        """
        serves = self._embedder.is_ready() or self._engine is not None and self._engine.is_ready()
        return serves and not any(model.status is ModelStatus.LOADING for model in self.models())

    def submit(self, request: GenerationRequest) -> Handle:
        """See Engine.submit. Raises InvalidRequestError for an embedding model."""
        if self._embeds(request.model):
            raise errors.InvalidRequestError(f'The model {request.model!r} makes embeddings and writes no text: '
                                             'use POST /v1/embeddings.', param='model')
        if self._engine is None:
            raise errors.ModelNotFoundError(request.model)
        return self._engine.submit(request)

    def tokenizer(self, model: str) -> TextTokenizer:
        """See Engine.tokenizer."""
        return self._embedder.tokenizer(model) if self._engine is None or self._embeds(model) \
            else self._engine.tokenizer(model)

    def statistics(self) -> EngineStatistics:
        """See Engine.statistics."""
        return Recorder().snapshot(0, 0, 0) if self._engine is None else self._engine.statistics()

    def shutdown(self) -> None:
        """See Engine.shutdown."""
        self._embedder.shutdown()
        if self._engine is not None:
            self._engine.shutdown()

    def _embeds(self, model: str) -> bool:
        return any(info.id == model for info in self._embedder.models())
