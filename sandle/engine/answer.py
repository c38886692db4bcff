"""What becomes of a request: its sequences' tokens turned into deltas, and the handle that its HTTP thread reads."""

import queue
import time
from collections.abc import Callable, Iterable
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandle.engine.engine import Delta, Finished, FinishReason, GenerationRequest, Token, TopToken
from sandle.engine.grammar import Constraint
from sandle.engine.runner import Tokenizer
from sandle.engine.sequence import Sequence
from sandle.engine.statistics import Recorder
from sandle.engine.text import Detokenizer, StopFinder, token_text
from sandle.errors import ApiError

if TYPE_CHECKING:  # a type only: who does not compute logits needs no torch
    from sandle.engine.penalties import Penalties


class RequestHandle:
    """`sandle.engine.engine.Handle` of an EngineLoop: the engine thread puts, one HTTP thread gets.

    `on_cancel` tells the engine thread to drop the request's sequences; it may be called on any thread. How the request
    ends is recorded. `arrived_s` is a time of `time.monotonic`.
    """

    def __init__(self, prompt_ids: tuple[tuple[int, ...], ...], on_cancel: Callable[['RequestHandle'], None],
                 recorder: Recorder) -> None:
        self.prompt_ids = prompt_ids
        self.answers: list[Answer] = []
        self.arrived_s = time.monotonic()
        self.has_first_token = False
        self.queue_s: float | None = None
        self.line_position: int | None = None  # told by the engine thread
        self._on_cancel = on_cancel
        self._recorder = recorder
        self._events: queue.SimpleQueue[Delta | Finished | ApiError] = queue.SimpleQueue()
        self._finished = 0  # choices whose last delta was put
        self._has_ended = False

    def get(self, timeout_s: float) -> Delta | Finished:
        """See Handle.get."""
        try:
            event = self._events.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(event, ApiError):
            raise event
        return event

    def position(self) -> int | None:
        """See Handle.position."""
        return self.line_position

    def cancel(self) -> Finished:
        """See Handle.cancel."""
        if not self._has_ended:
            self._on_cancel(self)
        return self.usage()

    def usage(self) -> Finished:
        """Returns the tokens used so far; each prompt counts once."""
        return Finished(prompt_tokens=sum(map(len, self.prompt_ids)),
                        completion_tokens=sum(answer.sequence.generated for answer in self.answers),
                        queue_s=self.queue_s)

    def put(self, delta: Delta) -> None:
        """Hands a delta on; after the last choice's last one, the end. Engine thread only."""
        self._events.put(delta)
        self._finished += delta.finish_reason is not None
        if delta.finish_reason is not None and self._finished == len(self.answers):
            is_cut = any(answer.finish_reason is FinishReason.LENGTH for answer in self.answers)
            self._end((FinishReason.LENGTH if is_cut else FinishReason.STOP).value)
            self._events.put(self.usage())

    def fail(self, error: ApiError) -> None:
        """Ends the request with an error. Engine thread only."""
        self._end('error')
        self._events.put(error)

    def drop(self) -> None:
        """Ends the request of a client that has left. Engine thread only."""
        self._end('cancelled')

    def _end(self, outcome: str) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._recorder.request_ended(outcome)


@dataclass(slots=True, eq=False)
class Answer:
    """The text side of one sequence. Engine thread only. `allowed` masks its next token, see `Constraint.allowed`."""

    sequence: Sequence
    handle: RequestHandle
    choice: int
    request: GenerationRequest
    tokenizer: Tokenizer
    detokenizer: Detokenizer = field(default_factory=Detokenizer)
    stops: StopFinder = field(init=False)
    prompt_text: str = ''
    prompt_tokens: list[Token] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    last_token_s: float | None = None
    penalties: 'Penalties | None' = None
    constraint: Constraint | None = None
    allowed: bytes | None = None

    def __post_init__(self) -> None:
        self.stops = StopFinder(self.request.params.stops)

    @property
    def end_ids(self) -> frozenset[int]:
        """The tokens that end the answer."""
        ends = self.tokenizer.eos_ids
        return ends if self.request.suffix is None else ends | self.tokenizer.infill_ends

    def add_prompt_token(self, token: int, logprob: float | None, top: Many[tuple[int, float]]) -> None:
        """Takes in the prompt's next token."""
        piece = self.detokenizer.add(self.tokenizer.token_bytes(token))
        self.prompt_text += piece
        self.prompt_tokens.append(self._token(token, len(piece), logprob, top))

    def prompt_delta(self) -> Delta:
        """Returns the prompt's text and tokens, for a request that wants an echo."""
        if not self.prompt_tokens:
            for token in self.sequence.tokens[:self.sequence.prompt_length]:
                self.add_prompt_token(token, None, ())
        prompt = self.request.prompts[self.choice // self.request.candidates]
        text = prompt if isinstance(prompt, str) else self.prompt_text
        tokens = tuple(self.prompt_tokens)
        self.prompt_tokens.clear()
        return Delta(self.choice, text, tokens, is_prompt=True)

    def allow(self) -> Delta | None:
        """Looks up what a constrained answer may go on with; returns its last delta if it can only end.

        Raises InvalidRequestError, see `Constraint.allowed`.
        """
        assert self.constraint is not None, 'asked only of a constrained answer'
        params = self.request.params
        self.allowed = self.constraint.allowed(self.end_ids, self.sequence.generated >= params.min_tokens
                                               and not params.ignore_eos)
        if self.allowed is not None:
            return None
        self.finish_reason = FinishReason.STOP
        return Delta(self.choice, self.stops.flush(), (), self.finish_reason)

    def add_token(self, token: int, logprob: float | None, top: Many[tuple[int, float]]) -> Delta:
        """Takes in the sequence's newest token; returns what it adds, and decides whether the answer ends with it.

        Raises InvalidRequestError, see `Constraint.add`.
        """
        if self.constraint is not None and token not in self.end_ids:
            self.constraint.add(token)
        special = {} if self.constraint is None else self.constraint.special
        piece = self.detokenizer.add(special.get(token) or self.tokenizer.token_bytes(token))
        text = self.stops.add(piece)
        self.finish_reason = reason = self._reason_to_end(token)
        if reason is not None and not self.stops.has_stopped:
            text += self.stops.flush()
        return Delta(self.choice, text, (self._token(token, len(piece), logprob, top),), reason)

    def add_nothing(self) -> Delta:
        """Ends an answer for which nothing was to be generated."""
        self.finish_reason = FinishReason.LENGTH
        return Delta(self.choice, '', (), self.finish_reason)

    def record_start(self, recorder: Recorder, now_s: float) -> None:
        """Notes that its sequence has got a slot."""
        queue_s = now_s - self.handle.arrived_s
        self.handle.queue_s = queue_s if self.handle.queue_s is None else self.handle.queue_s
        self.handle.line_position = None
        recorder.admitted(self.sequence.prompt_length, self.sequence.computed_at_start, queue_s)

    def record_token(self, recorder: Recorder, now_s: float) -> None:
        """Notes that its sequence has got a token more."""
        if not self.handle.has_first_token:
            self.handle.has_first_token = True
            recorder.first_token(now_s - self.handle.arrived_s)
        recorder.token(None if self.last_token_s is None else now_s - self.last_token_s)
        self.last_token_s = now_s

    def _token(self, token: int, length: int, logprob: float | None, top: Many[tuple[int, float]]) -> Token:
        others = tuple(TopToken(other, self._name(other), value) for other, value in top)
        return Token(token, self._name(token), length, logprob, None if logprob is None else others)

    def _reason_to_end(self, token: int) -> FinishReason | None:
        params = self.request.params
        if self.stops.has_stopped or token in self.end_ids and not params.ignore_eos:
            return FinishReason.STOP
        if self.constraint is not None and self.constraint.is_complete:
            return FinishReason.STOP
        return FinishReason.LENGTH if self.sequence.generated >= params.max_tokens else None

    def _name(self, token: int) -> str:
        piece = self.tokenizer.token_bytes(token)
        return token_text(piece) if piece else self.tokenizer.token_name(token)


def tell_positions(line: Iterable[RequestHandle]) -> None:
    """Tells the requests of which nothing is worked on yet in how many turns that begins.

    `line` holds the requests of the sequences that wait, in the order of their turns. Engine thread only.
    """
    for position, handle in enumerate((handle for handle in dict.fromkeys(line) if handle.queue_s is None), 1):
        handle.line_position = position
