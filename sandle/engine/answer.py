"""What becomes of a request: its sequences' tokens turned into deltas, and the handle that its HTTP thread reads."""

import queue
from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass, field

from sandle.engine.engine import Delta, Finished, FinishReason, GenerationRequest, Token
from sandle.engine.runner import Tokenizer
from sandle.engine.sequence import Sequence
from sandle.engine.text import Detokenizer, StopFinder, token_text
from sandle.errors import ApiError


class RequestHandle:
    """`sandle.engine.engine.Handle` of an EngineLoop: the engine thread puts, one HTTP thread gets.

    `on_cancel` tells the engine thread to drop the request's sequences; it may be called on any thread.
    """

    def __init__(self, prompt_ids: tuple[tuple[int, ...], ...], on_cancel: Callable[['RequestHandle'], None]) -> None:
        self.prompt_ids = prompt_ids
        self.answers: list[Answer] = []
        self._on_cancel = on_cancel
        self._events: queue.SimpleQueue[Delta | Finished | ApiError] = queue.SimpleQueue()
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

    def cancel(self) -> Finished:
        """See Handle.cancel."""
        if not self._has_ended:
            self._on_cancel(self)
        return self.usage()

    def usage(self) -> Finished:
        """Returns the tokens used so far; each prompt counts once."""
        return Finished(prompt_tokens=sum(map(len, self.prompt_ids)),
                        completion_tokens=sum(answer.sequence.generated for answer in self.answers))

    def put(self, delta: Delta) -> None:
        """Hands a delta on; after the last choice's last one, the end. Engine thread only."""
        self._events.put(delta)
        if all(answer.has_finished for answer in self.answers):
            self._has_ended = True
            self._events.put(self.usage())

    def fail(self, error: ApiError) -> None:
        """Ends the request with an error. Engine thread only."""
        self._has_ended = True
        self._events.put(error)


@dataclass(slots=True, eq=False)
class Answer:
    """The text side of one sequence. Engine thread only."""

    sequence: Sequence
    handle: RequestHandle
    choice: int
    request: GenerationRequest
    tokenizer: Tokenizer
    detokenizer: Detokenizer = field(default_factory=Detokenizer)
    stops: StopFinder = field(init=False)
    prompt_text: str = ''
    prompt_tokens: list[Token] = field(default_factory=list)
    has_finished: bool = False

    def __post_init__(self) -> None:
        self.stops = StopFinder(self.request.params.stops)

    def add_prompt_token(self, token: int, logprob: float | None, top: Many[tuple[int, float]]) -> None:
        """Takes in the prompt's next token."""
        piece = self.detokenizer.add(self.tokenizer.token_bytes(token))
        self.prompt_text += piece
        self.prompt_tokens.append(self._token(token, len(piece), logprob, top))

    def emit_prompt(self) -> None:
        """Hands on the prompt's text and tokens, for a request that wants an echo."""
        if not self.prompt_tokens:
            for token in self.sequence.tokens[:self.sequence.prompt_length]:
                self.add_prompt_token(token, None, ())
        prompt = self.request.prompts[self.choice // self.request.candidates]
        text = prompt if isinstance(prompt, str) else self.prompt_text
        self.handle.put(Delta(self.choice, text, tuple(self.prompt_tokens), is_prompt=True))
        self.prompt_tokens.clear()

    def emit(self, token: int, logprob: float | None, top: Many[tuple[int, float]]) -> None:
        """Takes in the sequence's newest token, hands on what it adds, and decides whether the answer ends with it."""
        piece = self.detokenizer.add(self.tokenizer.token_bytes(token))
        text = self.stops.add(piece)
        reason = self._finish_reason(token)
        if reason is not None and not self.stops.has_stopped:
            text += self.stops.flush()
        self.has_finished = reason is not None
        self.handle.put(Delta(self.choice, text, (self._token(token, len(piece), logprob, top),), reason))

    def emit_nothing_more(self) -> None:
        """Ends an answer for which nothing was to be generated."""
        self.has_finished = True
        self.handle.put(Delta(self.choice, '', (), FinishReason.LENGTH))

    def _token(self, token: int, length: int, logprob: float | None, top: Many[tuple[int, float]]) -> Token:
        return Token(token, self._name(token), length, logprob,
                     None if logprob is None else tuple((self._name(other), value) for other, value in top))

    def _finish_reason(self, token: int) -> FinishReason | None:
        params = self.request.params
        if self.stops.has_stopped or token in self.tokenizer.eos_ids and not params.ignore_eos:
            return FinishReason.STOP
        return FinishReason.LENGTH if self.sequence.generated >= params.max_tokens else None

    def _name(self, token: int) -> str:
        piece = self.tokenizer.token_bytes(token)
        return token_text(piece) if piece else self.tokenizer.token_name(token)
