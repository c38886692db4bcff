"""POST /v1/completions over an Engine.

Knows JSON, SSE and the contract's order of things; knows nothing of tokens' meaning or of how they come about. The
unstreamed answer is a fold over what a stream would hold.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import flask

from sandle import addressing
from sandle import app as http
from sandle import errors, protocol, sse, wire
from sandle.accounting import UsageMemory
from sandle.choices import ChoiceWriter, rank
from sandle.completion_trace import CompletionTrace
from sandle.engine.engine import (Delta, Engine, Finished, GenerationRequest, Handle, ModelInfo, ModelStatus,
                                  SamplingParams)
from sandle.log import Event
from sandle.models import as_json, find_model

logger = logging.getLogger(__name__)

FINGERPRINT = 'fp_sandle'
POLL_S = 0.25  # how often a waiting thread looks whether its client is still there
ALWAYS_SUPPORTED = frozenset({
    'model', 'prompt', 'max_tokens', 'temperature', 'top_p', 'stop', 'stream', 'stream_options', 'user',
    'greedy_decoding', 'stream_batch_size', 'add_special_tokens'})

KNOWN_ONCE_LOADED = frozenset({'suffix'})  # its tokenizer tells


@dataclass(frozen=True, slots=True)
class CompletionLimits:
    """What one request may ask for at most."""

    max_sequences_per_request: int = 128
    max_logprobs: int = 20


def add_routes(app: flask.Flask, engine: Engine, limits: CompletionLimits, memory: UsageMemory) -> None:
    """Adds /v1/completions to an application, and the same below /m/{model}."""

    def post_completions(model: str | None = None) -> flask.Response:
        try:
            body = addressing.with_model(http.read_json(), model)
            run = _start(engine, wire.parse(protocol.CompletionRequest, body), limits, memory)
        except errors.ApiError as error:
            logger.info(Event('completion refused', status=error.status, param=error.param,
                              reason=error.code or error.type))
            raise
        return _respond(run)

    addressing.add_rules(app, '/v1/completions', post_completions, 'POST')


def _start(engine: Engine, request: protocol.CompletionRequest, limits: CompletionLimits,
           memory: UsageMemory) -> 'Run':
    info = find_model(engine, request.model)
    _check_support(request, info, limits)
    generation = _generation_request(request, flask.request.headers.get(http.KEY_HEADER) or request.user)
    if generation.candidates * len(generation.prompts) > limits.max_sequences_per_request:
        raise errors.InvalidRequestError(
            f'This request asks for {generation.candidates * len(generation.prompts)} sequences; at most '
            f'{limits.max_sequences_per_request} are allowed.', param='n' if request.best_of is None else 'best_of')
    return Run(request, generation.id, engine.submit(generation), http.client_disconnected(),
               flask.request.headers.get(http.USAGE_HEADER), memory)


def _respond(run: 'Run') -> flask.Response:
    if not run.is_streamed:
        return as_json(run.fold())
    response = flask.Response(http.within_request(run.stream()), content_type=sse.CONTENT_TYPE,
                              headers=dict(sse.HEADERS))
    response.call_on_close(run.close)  # also when the client leaves before the first byte
    return response


def _check_support(request: protocol.CompletionRequest, info: ModelInfo, limits: CompletionLimits) -> None:
    known_later: frozenset[str] = frozenset() if info.status is ModelStatus.READY else KNOWN_ONCE_LOADED
    unsupported = sorted(request.fields_in_use() - ALWAYS_SUPPORTED - info.capabilities - known_later)
    if unsupported:
        raise errors.UnsupportedParameterError(
            f'The model {info.id!r} does not support {unsupported[0]}.', param=unsupported[0])
    if request.logprobs is not None and request.logprobs > limits.max_logprobs:
        raise errors.InvalidRequestError(f'logprobs must be at most {limits.max_logprobs}.', param='logprobs')


def _generation_request(request: protocol.CompletionRequest, user: str | None) -> GenerationRequest:
    params = SamplingParams(
        max_tokens=request.max_tokens, temperature=0.0 if request.greedy_decoding else request.temperature,
        top_p=request.top_p or 1.0, top_k=request.top_k, min_p=request.min_p, typical_p=request.typical_p,
        presence_penalty=request.presence_penalty, frequency_penalty=request.frequency_penalty,
        repetition_penalty=request.repetition_penalty, seed=request.seed, stops=request.stops(),
        logit_bias=tuple((int(token), bias) for token, bias in (request.logit_bias or {}).items()),
        min_tokens=request.min_tokens, ignore_eos=request.ignore_eos,
        logprobs=0 if request.logprobs is None and _ranks(request) else request.logprobs)
    return GenerationRequest(
        id=f'cmpl-{secrets.token_hex(12)}', model=request.model, prompts=request.prompts(), params=params,
        candidates=request.best_of or request.n, echo=request.echo, suffix=request.suffix or None,
        add_special_tokens=request.add_special_tokens, user=user)


def _ranks(request: protocol.CompletionRequest) -> bool:
    return request.best_of is not None and request.best_of > request.n


class Run:
    """One request on its way from the engine to its client. Used by the thread of that request."""

    def __init__(self, request: protocol.CompletionRequest, generation_id: str, handle: Handle,
                 is_gone: Callable[[], bool], usage_name: str | None, memory: UsageMemory) -> None:
        """`usage_name`: by which a wrapper asks for the request's usage, if one wants to know."""
        self._request = request
        self._handle = handle
        self._is_gone = is_gone
        self._usage_name = usage_name
        self._memory = memory
        self._id = generation_id
        self._created = int(time.time())
        self._started_s = time.monotonic()
        self._usage: Finished | None = None
        self._reason = 'client_disconnected'
        self._is_closed = False
        self._trace = CompletionTrace(request.model)
        count = len(handle.prompt_ids)
        per_prompt = request.best_of or request.n
        self._writers = [ChoiceWriter(request, choice, handle.prompt_ids[choice // per_prompt])
                         for choice in range(count * per_prompt)]

    @property
    def is_streamed(self) -> bool:
        """Whether the client wants events."""
        return self._request.stream

    def fold(self) -> protocol.Completion:
        """Waits for the whole answer. Raises the engine's ApiError, and ClientGoneError."""
        try:
            for delta in self._deltas():
                if delta is not None:
                    self._writers[delta.choice].add(delta)
            choices = rank(self._writers, self._request)
            return self._completion(choices, self._usage_object())
        except errors.ApiError as error:
            self._reason = error.code or error.type
            raise
        finally:
            self.close()

    def stream(self) -> Iterator[bytes]:
        """Yields the events of the answer; an error after the first byte is an event, too."""
        include_usage = self._request.stream_options is not None and self._request.stream_options.include_usage
        exclude = None if include_usage else {'usage'}
        comments = sse.Comments()
        try:
            for delta in self._deltas():
                if delta is None:
                    if comment := comments.due(self._position()):
                        yield comment
                    continue
                chunk = self._writers[delta.choice].chunk(delta)
                if chunk is not None:
                    comments.silence_ends()
                    yield self._usage_line() + sse.event(self._completion([chunk], None).model_dump(exclude=exclude))
            if include_usage:
                yield sse.event(self._completion([], self._usage_object()).model_dump())
            yield self._usage_line() + sse.DONE
        except errors.ApiError as error:
            self._reason = error.code or error.type
            yield sse.event(error.body())
        except Exception:  # an edge: the status line is out, so what goes wrong here can only be told in the stream
            logger.exception('a stream failed')
            self._reason = 'internal_error'
            yield sse.event(http.internal_error().body())
        finally:
            self.close()

    def close(self) -> None:
        """Ends the request wherever it stands, and writes its one log line. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        usage = self._handle.cancel() if self._usage is None else self._usage
        if self._usage_name is not None:
            self._memory.keep(self._usage_name, usage)
        logger.info(Event(
            'completion', id=self._id, model=self._request.model, prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            queue_seconds=None if usage.queue_s is None else round(usage.queue_s, 3),
            seconds=round(time.monotonic() - self._started_s, 3), reason=self._reason))
        has_failed = self._usage is None and self._reason != errors.ClientGoneError.code
        self._trace.end(self._id, usage, (writer.finish_reason for writer in self._writers),
                        self._reason if has_failed else None)

    def _deltas(self) -> Iterator[Delta | None]:
        """Yields deltas, and None every POLL_S without one, until the end. Raises ClientGoneError."""
        while True:
            if self._is_gone():
                raise errors.ClientGoneError('The client has closed its connection.')
            try:
                event = self._handle.get(POLL_S)
            except TimeoutError:
                yield None
                continue
            if isinstance(event, Finished):
                self._usage = event
                self._reason = '/'.join(sorted({writer.finish_reason or 'none' for writer in self._writers}))
                return
            self._trace.delta()
            yield event

    def _position(self) -> int | None:
        """Returns the place in the queue of a request that has waited for a while."""
        return self._handle.position() if time.monotonic() - self._started_s >= sse.QUEUE_AFTER_S else None

    def _usage_line(self) -> bytes:
        if self._usage_name is None:
            return b''
        return sse.usage_line(sum(map(len, self._handle.prompt_ids)), sum(writer.generated for writer in self._writers))

    def _usage_object(self) -> protocol.Usage:
        assert self._usage is not None, 'usage is known when the deltas have ended'
        return protocol.Usage(prompt_tokens=self._usage.prompt_tokens, completion_tokens=self._usage.completion_tokens,
                              total_tokens=self._usage.prompt_tokens + self._usage.completion_tokens)

    def _completion(self, choices: list[protocol.CompletionChoice],
                    usage: protocol.Usage | None) -> protocol.Completion:
        return protocol.Completion(id=self._id, created=self._created, model=self._request.model,
                                   system_fingerprint=FINGERPRINT, choices=choices, usage=usage)
