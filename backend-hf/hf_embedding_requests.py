"""Requests for embeddings on their way: their texts as tokens, and the handle that an HTTP thread reads.

Knows what a model must be able to do; knows neither HTTP nor tensors, nor whose turn it is.
"""

import threading
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hf_embedding_text import EncodedText

from sandle import errors
from sandle.embedder import EmbeddingRequest
from sandle.engine.engine import Finished, TextTokenizer
from sandle.engine.runner import Resident


class Encoder(Protocol):
    """What turns texts into tokens; see hf_embedding_text.TextEncoder."""

    @property
    def prompts(self) -> Mapping[str, str]:
        """The texts that may stand before others, by name."""
        ...

    def encode(self, text: str, prompt_name: str | None, max_tokens: int | None) -> EncodedText:
        """Returns the tokens of a text. Any thread."""
        ...


class EmbeddingModel(Resident, Protocol):
    """A model in memory that makes vectors."""

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        ...

    @property
    def encoder(self) -> Encoder:
        """What turns texts into tokens."""
        ...

    @property
    def tokenizer(self) -> TextTokenizer:
        """The same for clients."""
        ...

    def embed(self, texts: Sequence[EncodedText]) -> Sequence['array[float]']:
        """Returns the vectors of texts, computed together. Embedding thread."""
        ...


@dataclass(slots=True, eq=False)
class Text:
    """One text of a request, and its vector once it is there."""

    request: 'RequestHandle'
    encoded: EncodedText
    vector: 'array[float] | None' = None


class RequestHandle:
    """`sandle.embedder.EmbeddingHandle`: the embedding thread puts, one HTTP thread gets."""

    def __init__(self, model: EmbeddingModel, texts: Sequence[EncodedText]) -> None:
        self.model = model
        self.texts = [Text(self, text) for text in texts]
        self.is_cancelled = False
        self._arrived_s = time.monotonic()
        self._queue_s: float | None = None
        self._used_tokens = 0
        self._left = len(texts)
        self._failure: errors.ApiError | None = None
        self._has_ended = threading.Event()

    @property
    def size(self) -> int:
        """See EmbeddingHandle.size."""
        return self.model.size

    @property
    def prompt_tokens(self) -> int:
        """See EmbeddingHandle.prompt_tokens."""
        return sum(len(text.encoded.ids) for text in self.texts)

    def get(self, timeout_s: float) -> Sequence['array[float]']:
        """See EmbeddingHandle.get."""
        if not self._has_ended.wait(timeout_s):
            raise TimeoutError
        if self._failure is not None:
            raise self._failure
        return [text.vector for text in self.texts if text.vector is not None]

    def cancel(self) -> Finished:
        """See EmbeddingHandle.cancel."""
        self.is_cancelled = True
        return Finished(self._used_tokens, 0, self._queue_s)

    def begin(self, text: Text) -> None:
        """Notes that a text is worked on. Embedding thread."""
        if self._queue_s is None:
            self._queue_s = time.monotonic() - self._arrived_s
        self._used_tokens += len(text.encoded.ids)

    def done(self, text: Text, vector: 'array[float]') -> None:
        """Hands on a text's vector. Embedding thread."""
        text.vector = vector
        self._left -= 1
        if not self._left:
            self._has_ended.set()

    def fail(self, error: errors.ApiError) -> None:
        """Ends the request with an error; its other texts are not worked on. Embedding thread."""
        self._failure = error
        self.is_cancelled = True
        self._has_ended.set()


def batches(texts: Sequence[Text], max_tokens: int) -> Iterator[list[Text]]:
    """Yields texts of like length together, the shortest first: at most so many tokens with padding, or one text."""
    batch: list[Text] = []
    for text in sorted(texts, key=lambda text: len(text.encoded.ids)):
        if batch and (len(batch) + 1) * len(text.encoded.ids) > max_tokens:
            yield batch
            batch = []
        batch.append(text)
    if batch:
        yield batch


def encoded(text: str | tuple[int, ...], request: EmbeddingRequest, model: EmbeddingModel) -> EncodedText:
    """Returns a text's tokens. Raises as `Embedder.submit` does for a text."""
    limit = model.context_length
    cut = None if request.max_tokens is None else limit if request.max_tokens == -1 else min(limit, request.max_tokens)
    if request.prompt_name is not None and request.prompt_name not in model.encoder.prompts:
        raise errors.InvalidRequestError(
            f'The model {request.model!r} has no prompt {request.prompt_name!r}; it has '
            f'{", ".join(model.encoder.prompts) or "none"}.', param='prompt_name')
    if isinstance(text, str):
        found = model.encoder.encode(text, request.prompt_name, cut)
    elif request.prompt_name is not None:
        raise errors.InvalidRequestError('prompt_name needs texts: token ids are used as they are.',
                                         param='prompt_name')
    elif (largest := max(text)) >= model.tokenizer.vocab_size:
        raise errors.InvalidRequestError(f'input holds the token {largest}, but the vocabulary of {request.model!r} '
                                         f'ends at {model.tokenizer.vocab_size - 1}.', param='input')
    else:
        found = EncodedText(text[:cut])
    if len(found.ids) > limit:
        raise errors.ContextLengthExceededError(limit, len(found.ids), 0, prompt='input')
    return found
