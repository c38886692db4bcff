"""POST /v1/embeddings over an Embedder.

Knows JSON and the forms in which a vector is sent; knows nothing of how one is made.
"""

import base64
import logging
import math
import sys
import time
from array import array
from collections.abc import Callable, Sequence

import flask

from sandle import addressing
from sandle import app as http
from sandle import errors, wire
from sandle.accounting import UsageMemory
from sandle.embedder import Embedder, EmbeddingHandle, EmbeddingRequest
from sandle.embedding_protocol import Embedding, EmbeddingsRequest, EmbeddingsResponse, EmbeddingsUsage
from sandle.engine.engine import Engine
from sandle.log import Event
from sandle.models import as_json, find_model

logger = logging.getLogger(__name__)

POLL_S = 0.25  # how often a waiting thread looks whether its client is still there


def add_routes(app: flask.Flask, engine: Engine, embedder: Embedder | None, memory: UsageMemory) -> None:
    """Adds /v1/embeddings to an application, and the same below /m/{model}.

    `engine` knows every model, so that one which writes text is told apart from one that is not there.
    """

    def post_embeddings(model: str | None = None) -> flask.Response:
        try:
            request = wire.parse(EmbeddingsRequest, addressing.with_model(http.read_json(), model))
            handle = _submit(request, _choose(engine, embedder, request.model))
        except errors.ApiError as error:
            logger.info(Event('embeddings refused', status=error.status, param=error.param,
                              reason=error.code or error.type))
            raise
        return as_json(_answer(request, handle, memory))

    addressing.add_rules(app, '/v1/embeddings', post_embeddings, 'POST')


def _choose(engine: Engine, embedder: Embedder | None, model: str) -> Embedder:
    """Returns who makes vectors with a model. Raises ModelNotFoundError, and InvalidRequestError if it makes none."""
    info = find_model(engine, model)
    if embedder is None or 'embeddings' not in info.capabilities:
        raise errors.InvalidRequestError(f'The model {model!r} writes text and makes no embeddings.', param='model')
    return embedder


def _submit(request: EmbeddingsRequest, embedder: Embedder) -> EmbeddingHandle:
    handle = embedder.submit(EmbeddingRequest(
        request.model, request.texts(), request.prompt_name, request.truncate_prompt_tokens,
        flask.request.headers.get(http.KEY_HEADER) or request.user))
    if request.dimensions is not None and request.dimensions > handle.size:
        handle.cancel()
        raise errors.InvalidRequestError(f'dimensions must be at most {handle.size} for the model {request.model!r}.',
                                         param='dimensions')
    return handle


def _answer(request: EmbeddingsRequest, handle: EmbeddingHandle, memory: UsageMemory) -> EmbeddingsResponse:
    """Waits for the vectors, and writes the request's one log line. Raises the embedder's ApiError, ClientGoneError."""
    started_s = time.monotonic()
    reason = 'error'
    try:
        vectors = _wait(handle, http.client_disconnected())
        reason = 'done'
    except errors.ApiError as error:
        reason = error.code or error.type
        raise
    finally:
        used = handle.cancel()
        if (name := flask.request.headers.get(http.USAGE_HEADER)) is not None:
            memory.keep(name, used)
        logger.info(Event('embeddings', model=request.model, texts=len(request.texts()),
                          prompt_tokens=used.prompt_tokens,
                          queue_seconds=None if used.queue_s is None else round(used.queue_s, 3),
                          seconds=round(time.monotonic() - started_s, 3), reason=reason))
    as_sent = to_base64 if request.encoding_format == 'base64' else array.tolist
    return EmbeddingsResponse(
        data=[Embedding(index=index, embedding=as_sent(shortened(vector, request.dimensions)))
              for index, vector in enumerate(vectors)],
        model=request.model,
        usage=EmbeddingsUsage(prompt_tokens=handle.prompt_tokens, total_tokens=handle.prompt_tokens))


def _wait(handle: EmbeddingHandle, is_gone: Callable[[], bool]) -> Sequence['array[float]']:
    """Returns the vectors. Raises the embedder's ApiError, and ClientGoneError."""
    while True:
        if is_gone():
            raise errors.ClientGoneError('The client has closed its connection.')
        try:
            return handle.get(POLL_S)
        except TimeoutError:
            continue


def shortened(vector: 'array[float]', dimensions: int | None) -> 'array[float]':
    """Returns the first so many numbers, scaled to a vector of length 1, as OpenAI's `dimensions` does.

    The vector itself where it is no longer than that.
    """
    if dimensions is None or dimensions >= len(vector):
        return vector
    first = vector[:dimensions]
    length = math.sqrt(sum(number * number for number in first))
    return array('f', (number / length for number in first)) if length else first


def to_base64(vector: 'array[float]') -> str:
    """Returns float32s as base64, the least significant byte first, as OpenAI's clients read them."""
    if sys.byteorder == 'big':
        vector = vector[:]
        vector.byteswap()
    return base64.b64encode(vector).decode('ascii')
