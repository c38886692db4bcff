"""An Embedder without a model: every token has a direction of its own, and a text's vector is the sum of its tokens'.

So the same text has the same vector in every run and on every machine, and texts that share words lie close together:
enough to test a client that searches. Nothing runs in the background.
"""

import math
import random
from array import array
from collections.abc import Sequence
from functools import lru_cache

from sandle import errors
from sandle.embedder import CAPABILITIES, EmbeddingRequest
from sandle.engine.engine import Finished, ModelInfo, ModelStatus
from stub_engine import CREATED
from stub_vocab import Vocabulary

SIZE = 64
PROMPTS = {'query': 'query: ', 'document': 'passage: '}


class StubEmbedder:
    """Implements `sandle.embedder.Embedder`. Methods may be called from any thread."""

    def __init__(self, model: str, context_length: int) -> None:
        self._model = ModelInfo(model, model, 'sandle', CREATED, ModelStatus.READY, CAPABILITIES, context_length)
        self._context_length = context_length
        self._vocabulary = Vocabulary('')

    def models(self) -> Sequence[ModelInfo]:
        """Returns the one name on offer."""
        return [self._model]

    def is_ready(self) -> bool:
        """Returns that requests are taken."""
        return True

    def submit(self, request: EmbeddingRequest) -> 'StubVectors':
        """Returns the vectors. Raises as `Embedder.submit` says."""
        self.tokenizer(request.model)
        if request.prompt_name is not None and request.prompt_name not in PROMPTS:
            raise errors.InvalidRequestError(f'The model {request.model!r} has no prompt {request.prompt_name!r}; it '
                                             f'has {", ".join(PROMPTS)}.', param='prompt_name')
        return StubVectors([self._tokens(text, request) for text in request.texts])

    def tokenizer(self, model: str) -> Vocabulary:
        """See Embedder.tokenizer."""
        if model != self._model.id:
            raise errors.ModelNotFoundError(model)
        return self._vocabulary

    def shutdown(self) -> None:
        """Does nothing: there is nothing to wait for."""

    def _tokens(self, text: str | tuple[int, ...], request: EmbeddingRequest) -> Sequence[int]:
        if isinstance(text, str):
            tokens = self._vocabulary.encode(PROMPTS.get(request.prompt_name or '', '') + text)
        else:
            tokens = text
            if max(tokens) >= len(self._vocabulary):
                raise errors.InvalidRequestError(f'input holds the token {max(tokens)}, but the vocabulary of '
                                                 f'{request.model!r} ends at {len(self._vocabulary) - 1}.',
                                                 param='input')
        limit = self._context_length
        if request.max_tokens is not None:
            tokens = tokens[:limit if request.max_tokens == -1 else min(limit, request.max_tokens)]
        if len(tokens) > limit:
            raise errors.ContextLengthExceededError(limit, len(tokens), 0, prompt='input')
        return tokens


class StubVectors:
    """One request, which has ended as soon as it has begun."""

    size = SIZE

    def __init__(self, texts: Sequence[Sequence[int]]) -> None:
        self._texts = texts
        self.prompt_tokens = sum(map(len, texts))

    def get(self, timeout_s: float) -> Sequence['array[float]']:
        """Returns the vectors."""
        return [vector(tokens) for tokens in self._texts]

    def cancel(self) -> Finished:
        """Returns what was used."""
        return Finished(self.prompt_tokens, 0, 0.0)


def vector(tokens: Sequence[int]) -> 'array[float]':
    """Returns the vector of a text, of length 1."""
    total = [sum(numbers) for numbers in zip(*map(_direction, tokens))]
    length = math.sqrt(sum(number * number for number in total))
    return array('f', (number / length for number in total))


@lru_cache(4096)
def _direction(token: int) -> tuple[float, ...]:
    source = random.Random(token)
    return tuple(source.gauss(0.0, 1.0) for _ in range(SIZE))
