"""One request for generation on its way from an Engine to its client, whichever endpoint it came to.

Knows waiting, streams and their end, and what is logged; how an answer is worded is its `Wording`'s. The unstreamed
answer is a fold over what a stream would hold.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import flask
from pydantic import BaseModel

from sandle import app as http
from sandle import errors, sse
from sandle.accounting import UsageMemory
from sandle.completion_trace import CompletionTrace
from sandle.engine.engine import Delta, Engine, Finished, GenerationRequest, Handle
from sandle.generation_protocol import GenerationFields
from sandle.log import Event
from sandle.models import as_json
from sandle.protocol import Usage

logger = logging.getLogger(__name__)

FINGERPRINT = 'fp_sandle'
POLL_S = 0.25  # how often a waiting thread looks whether its client is still there


class Writer(Protocol):
    """Gathers one choice."""

    finish_reason: str | None

    @property
    def generated(self) -> int:
        """How many tokens have been generated so far."""
        ...

    def add(self, delta: Delta) -> None:
        """Takes in what one step added."""
        ...


class Wording(Protocol):
    """How an endpoint words what an engine gives."""

    operation: str
    """What is done, as traces call it."""

    @property
    def writers(self) -> Sequence[Writer]:
        """One for each choice of the engine's."""
        ...

    def whole(self, usage: Usage) -> BaseModel:
        """Returns the answer, once the writers have all of it."""
        ...

    def events(self, delta: Delta) -> Iterable[BaseModel]:
        """Takes in what one step added; returns what a stream is to say of it."""
        ...

    def last_event(self, usage: Usage) -> BaseModel:
        """Returns what a stream is to say of its usage."""
        ...


@dataclass(frozen=True, slots=True)
class Submitted:
    """A request that an engine has taken. `fields` are those of the client's request."""

    fields: GenerationFields
    id: str
    handle: Handle
    created: int


def submit(engine: Engine, fields: GenerationFields, request: GenerationRequest) -> Submitted:
    """Gives a request to an engine. Raises ApiError as `Engine.submit` does."""
    return Submitted(fields, request.id, engine.submit(request), int(time.time()))


@contextlib.contextmanager
def logged_refusal() -> Iterator[None]:
    """Writes the one log line of a request that is refused before an engine has it."""
    try:
        yield
    except errors.ApiError as error:
        logger.info(Event('completion refused', status=error.status, param=error.param,
                          reason=error.code or error.type))
        raise


def respond(submitted: Submitted, wording: Wording, memory: UsageMemory) -> flask.Response:
    """Returns the answer to the request at hand. Raises ApiError."""
    run = Run(submitted, wording, http.client_disconnected(), flask.request.headers.get(http.USAGE_HEADER), memory)
    if not submitted.fields.stream:
        return as_json(run.fold())
    response = flask.Response(http.within_request(run.stream()), content_type=sse.CONTENT_TYPE,
                              headers=dict(sse.HEADERS))
    response.call_on_close(run.close)  # also when the client leaves before the first byte
    return response


class Run:
    """Used by the thread of its request."""

    def __init__(self, submitted: Submitted, wording: Wording, is_gone: Callable[[], bool], usage_name: str | None,
                 memory: UsageMemory) -> None:
        """`usage_name`: by which a wrapper asks for the request's usage, if one wants to know."""
        self._fields = submitted.fields
        self._id = submitted.id
        self._handle = submitted.handle
        self._wording = wording
        self._is_gone = is_gone
        self._usage_name = usage_name
        self._memory = memory
        self._started_s = time.monotonic()
        self._usage: Finished | None = None
        self._reason = 'client_disconnected'
        self._is_closed = False
        self._trace = CompletionTrace(wording.operation, submitted.fields.model)

    def fold(self) -> BaseModel:
        """Waits for the whole answer. Raises the engine's ApiError, and ClientGoneError."""
        try:
            for delta in self._deltas():
                if delta is not None:
                    self._wording.writers[delta.choice].add(delta)
            return self._wording.whole(self._usage_object())
        except errors.ApiError as error:
            self._reason = error.code or error.type
            raise
        finally:
            self.close()

    def stream(self) -> Iterator[bytes]:
        """Yields the events of the answer; an error after the first byte is an event, too."""
        exclude = None if self._fields.wants_usage_event else {'usage'}
        comments = sse.Comments()
        try:
            for delta in self._deltas():
                if delta is None:
                    if comment := comments.due(self._position()):
                        yield comment
                    continue
                for event in self._wording.events(delta):
                    comments.silence_ends()
                    yield self._usage_line() + sse.json_event(event.model_dump_json(exclude=exclude))
            if self._fields.wants_usage_event:
                yield sse.json_event(self._wording.last_event(self._usage_object()).model_dump_json())
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
            'completion', id=self._id, model=self._fields.model, prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            queue_seconds=None if usage.queue_s is None else round(usage.queue_s, 3),
            seconds=round(time.monotonic() - self._started_s, 3), reason=self._reason))
        has_failed = self._usage is None and self._reason != errors.ClientGoneError.code
        self._trace.end(self._id, usage, (writer.finish_reason for writer in self._wording.writers),
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
                self._reason = '/'.join(sorted({writer.finish_reason or 'none' for writer in self._wording.writers}))
                return
            self._trace.delta()
            yield event

    def _position(self) -> int | None:
        """Returns the place in the queue of a request that has waited for a while."""
        return self._handle.position() if time.monotonic() - self._started_s >= sse.QUEUE_AFTER_S else None

    def _usage_line(self) -> bytes:
        if self._usage_name is None:
            return b''
        return sse.usage_line(sum(map(len, self._handle.prompt_ids)),
                              sum(writer.generated for writer in self._wording.writers))

    def _usage_object(self) -> Usage:
        assert self._usage is not None, 'usage is known when the deltas have ended'
        return Usage(prompt_tokens=self._usage.prompt_tokens, completion_tokens=self._usage.completion_tokens,
                     total_tokens=self._usage.prompt_tokens + self._usage.completion_tokens)
