r"""Faults on command, for testing what stands in front of a backend. Nothing of this is reachable without --faults.

A prompt that begins with `!fault` asks for faults in its own request, through whatever stands in between:

    !fault first-delay=2 delay=0.05 tokens=40     pace and length of the answer (seconds; tokens)
    !fault answer=any text to the end of the line another answer
    !fault status=503 retry-after=2               an error response; also 400, 401, 403, 404, 429, 500, 502, 504
    !fault loading                                503 model_loading with Retry-After: 2
    !fault error-after=3                          an error event after 3 events (0: an error response)
    !fault bug                                    an exception that nothing foresees: 500, and a traceback in the log
    !fault hang                                   not a byte, until the client leaves
    !fault stall-after=3                          silence after 3 events, until the client leaves
    !fault cut-after=3                            the connection closed after 3 events, or after 3 bytes unstreamed
    !fault die-after=3                            the process ends after 3 events, as if killed; `die`: at once
    !fault garbage                                200 with HTML in place of JSON or events
    !fault garbage-after=3                        an event that is not JSON after 3 events; the stream goes on
    !fault crlf                                   CR LF for LF in the framing of a stream
    !fault split=1                                the body in pieces of 1 byte, 2 ms apart: characters are split

Several may stand on one line, `answer=` last. What follows the line is ignored. `POST /faults` arms the same for
requests to any path; see `stub_fault_routes`. This module parses directives and applies those that concern the engine;
`stub_fault_wire` applies those that concern bytes.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandle import errors
from sandle.engine.engine import Delta, Finished, GenerationRequest, Handle, ModelInfo, TextTokenizer
from sandle.engine.statistics import EngineStatistics
from stub_engine import StubEngine, StubOptions

PREFIX = '!fault'
USER = 'user: '  # before the first message of a chat
FOR_EVER_S = 1e9
WORD = re.compile(r'([a-z-]+)(?:=(\S+))?(?:\s+|$)')
ERRORS: dict[int, type[errors.ApiError]] = {
    kind.status: kind for kind in (
        errors.InvalidRequestError, errors.AuthenticationError, errors.PermissionDeniedError, errors.NotFoundError,
        errors.RateLimitError, errors.InternalError, errors.BadGatewayError, errors.UnavailableError,
        errors.GatewayTimeoutError)}


@dataclass(frozen=True, slots=True)
class Fault:
    """What shall go wrong with one request. Counts are of events; delays are in seconds; None is "not"."""

    first_delay: float | None = None
    delay: float | None = None
    tokens: int | None = None
    answer: str | None = None
    status: int | None = None
    retry_after: int | None = None
    loading: bool = False
    error_after: int | None = None
    bug: bool = False
    hang: bool = False
    stall_after: int | None = None
    cut_after: int | None = None
    die: bool = False
    die_after: int | None = None
    garbage: bool = False
    garbage_after: int | None = None
    crlf: bool = False
    split: int | None = None

    def raise_refusal(self) -> None:
        """Raises what is to happen in place of an answer, if anything is."""
        if self.bug:
            raise RuntimeError('a bug was asked for')
        if self.loading:
            raise errors.ModelLoadingError('The model is loading (a fault was asked for).', retry_after_s=2)
        if self.status is not None:
            raise ERRORS[self.status](f'A status {self.status} was asked for.', retry_after_s=self.retry_after)

    def changed(self, options: StubOptions) -> StubOptions:
        """Returns the options with this fault's answer and pace."""
        changes: dict[str, str | int | float | None] = {
            'text': self.answer, 'num_tokens': self.tokens,
            'first_token_delay_s': FOR_EVER_S if self.hang else self.first_delay,
            'token_delay_s': self.delay}
        return dataclasses.replace(options, **{  # type: ignore[arg-type]  # each value has its field's type
            name: value for name, value in changes.items() if value is not None})


NO_FAULT = Fault()
KINDS = {field.name: field.type for field in dataclasses.fields(Fault)}


def parse(directive: str) -> Fault:
    """Parses a directive, with or without the prefix. Raises InvalidRequestError for what it does not know."""
    line = directive.split('\n', 1)[0].removeprefix(PREFIX).strip()
    before, has_answer, answer = line.partition('answer=')
    values: dict[str, str | int | float | bool] = {'answer': answer} if has_answer else {}
    position = 0
    while position < len(before):
        match = WORD.match(before, position)
        if match is None:
            raise _unknown(before[position:])
        position = match.end()
        name = match[1].replace('-', '_')
        values[name] = _value(name, match[2])
    if values.get('status', 503) not in ERRORS:
        raise _unknown(f'status={values["status"]}')
    return Fault(**values)  # type: ignore[arg-type]  # _value has looked at each field's type


def _value(name: str, digits: str | None) -> int | float | bool:
    kind = KINDS.get(name)
    try:
        if kind is bool and digits is None:
            return True
        if kind == int | None and digits is not None and int(digits) >= (1 if name == 'split' else 0):
            return int(digits)
        if kind == float | None and digits is not None and 0 <= float(digits) <= 3600:
            return float(digits)
    except ValueError:
        pass
    raise _unknown(name.replace('_', '-') + ('' if digits is None else f'={digits}'))


def _unknown(what: str) -> errors.InvalidRequestError:
    return errors.InvalidRequestError(f'No such fault: {what!r}.', param='prompt')


class FaultyEngine:
    """Implements `sandle.engine.engine.Engine`: a StubEngine that does as a request's fault says.

    `exchange` is given the fault of the prompt, or None, and returns the one that holds for the request at hand: so
    that faults armed by other means count, and that the layer of bytes learns of it.
    """

    def __init__(self, engine: StubEngine, options: StubOptions, exchange: Callable[[Fault | None], Fault]) -> None:
        self._engine = engine
        self._options = options
        self._exchange = exchange

    def models(self) -> Sequence[ModelInfo]:
        """Returns every name on offer."""
        return self._engine.models()

    def is_ready(self) -> bool:
        """Returns whether requests are taken."""
        return self._engine.is_ready()

    def submit(self, request: GenerationRequest) -> Handle:
        """Starts a request, with the fault that its prompt asks for."""
        first = request.prompts[0]
        directive = first.removeprefix(USER) if isinstance(first, str) else ''
        fault = self._exchange(parse(directive) if directive.startswith(PREFIX) else None)
        fault.raise_refusal()
        handle = self._engine.submit_with(request, fault.changed(self._options))
        return handle if fault.error_after is None else FailingHandle(handle, fault.error_after)

    def tokenizer(self, model: str) -> TextTokenizer:
        """Returns the stub's tokenizer."""
        return self._engine.tokenizer(model)

    def statistics(self) -> EngineStatistics:
        """Returns what the stub has counted."""
        return self._engine.statistics()

    def shutdown(self) -> None:
        """Ends every request with ShuttingDownError, and takes no more."""
        self._engine.shutdown()


class FailingHandle:
    """A handle that fails after a number of deltas, as an engine whose step has failed."""

    def __init__(self, handle: Handle, deltas: int) -> None:
        self._handle = handle
        self._left = deltas

    @property
    def prompt_ids(self) -> tuple[tuple[int, ...], ...]:
        """The token ids of each prompt."""
        return self._handle.prompt_ids

    def get(self, timeout_s: float) -> Delta | Finished:
        """Returns what comes next. Raises InternalError when it is time for the fault."""
        if self._left == 0:
            raise errors.InternalError('The model failed in the middle of its answer (a fault was asked for).')
        delta = self._handle.get(timeout_s)
        self._left -= 1
        return delta

    def position(self) -> int | None:
        """Returns the request's place in the queue."""
        return self._handle.position()

    def cancel(self) -> Finished:
        """Ends the request."""
        return self._handle.cancel()
