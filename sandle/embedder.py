"""The seam between POST /v1/embeddings and whatever makes vectors of texts: what `sandle.embeddings` needs of it.

Methods are called on HTTP threads, many at once. Errors are `sandle.errors.ApiError`s.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sandle.engine.engine import Finished, ModelInfo, TextTokenizer

CAPABILITIES = frozenset({'embeddings', 'tokenize'})  # of every embedding model


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """What to make vectors of. A text is text, or token ids used as they are.

    `prompt_name` names one of the model's own texts to put before each text. `max_tokens` is where a longer text is
    cut off, -1 for as many tokens as the model takes; None refuses a text that the model does not take whole.
    """

    model: str
    texts: tuple[str | tuple[int, ...], ...]
    prompt_name: str | None = None
    max_tokens: int | None = None
    user: str | None = None  # among whom turns are shared out


class EmbeddingHandle(Protocol):
    """A submitted request, read by the one HTTP thread that waits for it."""

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """The tokens of all texts."""
        ...

    def get(self, timeout_s: float) -> Sequence['array[float]']:
        """Waits for the vectors, float32, in the order of the texts.

        Raises TimeoutError when they are not there in time, and the request's ApiError.
        """
        ...

    def cancel(self) -> Finished:
        """Ends the request now: what waits is not computed. Returns what it has used.

        May be called again, and after the end.
        """
        ...


class Embedder(Protocol):
    """A backend's maker of vectors."""

    def models(self) -> Sequence[ModelInfo]:
        """Returns every embedding model on offer, at once."""
        ...

    def is_ready(self) -> bool:
        """Returns whether a request for a model would be served now."""
        ...

    def submit(self, request: EmbeddingRequest) -> EmbeddingHandle:
        """Checks a request against its model and queues it.

        Raises ModelNotFoundError, ModelLoadingError (and begins to load), ContextLengthExceededError, QueueFullError,
        InvalidRequestError for a token id outside of the vocabulary and for a prompt that the model does not have.
        """
        ...

    def tokenizer(self, model: str) -> TextTokenizer:
        """Returns a model's tokenizer. Raises ModelNotFoundError, ModelLoadingError (and begins to load)."""
        ...

    def shutdown(self) -> None:
        """Ends every request with ShuttingDownError, and the embedder."""
        ...
