"""From an engine's deltas to the choices that a client reads: text, logprobs and their offsets, ranking for best_of.

Knows the shapes of the contract; knows nothing of threads, sockets or models.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from sandle.engine.engine import Delta, Token, TopToken
from sandle.generation_protocol import GenerationFields
from sandle.protocol import CompletionChoice, CompletionRequest, Logprobs

LOWEST_LOGPROB = -9999.0  # what the API shows for minus infinity, which JSON cannot


class Gatherer:
    """Gathers what steps add to one choice, until it is taken as a whole or piece by piece."""

    def __init__(self, fields: GenerationFields, wants_logprobs: bool) -> None:
        self._batch_size = fields.stream_batch_size
        self._shows_tokens = wants_logprobs or fields.return_token_ids
        self._text: list[str] = []
        self._tokens: list[Token] = []
        self._logprob_sum = 0.0
        self._generated = 0
        self.finish_reason: str | None = None

    def add(self, delta: Delta) -> None:
        """Takes in what one step added."""
        self._text.append(delta.text)
        self._tokens.extend(_fitted(delta) if delta.is_prompt else delta.tokens)
        if not delta.is_prompt:
            self._generated += len(delta.tokens)
            self._logprob_sum += sum(token.logprob for token in delta.tokens if token.logprob is not None)
        if delta.finish_reason is not None:
            self.finish_reason = delta.finish_reason.value

    @property
    def generated(self) -> int:
        """How many tokens have been generated so far."""
        return self._generated

    def mean_logprob(self) -> float:
        """Returns the mean logprob of the generated tokens; 0 when there are none."""
        return self._logprob_sum / self._generated if self._generated else 0.0

    def add_and_look(self, delta: Delta) -> bool:
        """Takes in what one step added; returns whether what there is now is worth a chunk of a stream."""
        self.add(delta)
        is_due = self.finish_reason is not None or delta.is_prompt
        if not is_due and len(self._tokens) < self._batch_size:
            return False
        return is_due or any(self._text) or (self._shows_tokens and bool(self._tokens))

    def taken(self) -> tuple[str, list[Token]]:
        """Returns the text and the tokens gathered since the last call."""
        text, tokens = ''.join(self._text), self._tokens
        self._text, self._tokens = [], []
        return text, tokens


class ChoiceWriter(Gatherer):
    """Words one choice of a completion. `index` is the choice's place among all candidates."""

    def __init__(self, request: CompletionRequest, index: int, prompt_ids: Sequence[int]) -> None:
        super().__init__(request, request.logprobs is not None)
        self._request = request
        self._index = index
        self._prompt_ids = list(prompt_ids)
        self._is_first_chunk = True
        self._offset = 0

    def chunk(self, delta: Delta) -> CompletionChoice | None:
        """Takes in a delta and returns what can be streamed now: None while there is nothing worth a chunk."""
        return self.take(self._index) if self.add_and_look(delta) else None

    def take(self, index: int) -> CompletionChoice:
        """Returns everything gathered since the last call, as a choice with that index."""
        text, tokens = self.taken()
        choice = CompletionChoice(
            text=text, index=index,
            finish_reason=self.finish_reason,  # type: ignore[arg-type]  # FinishReason's values are the protocol's
            logprobs=None if self._request.logprobs is None else self._logprobs(tokens))
        if self._request.return_token_ids:
            choice.token_ids = [token.id for token in tokens]
            choice.prompt_token_ids = self._prompt_ids if self._is_first_chunk else None
        self._is_first_chunk = False
        return choice

    def _logprobs(self, tokens: Sequence[Token]) -> Logprobs:
        offsets, tops = [], [_top_of(token) for token in tokens]
        for token in tokens:
            offsets.append(self._offset)
            self._offset += token.length
        return Logprobs(
            tokens=[token.text for token in tokens],
            token_logprobs=[None if token.logprob is None else shown(token.logprob) for token in tokens],
            top_logprobs=[{text: other.logprob for text, other in top.items()} or None for top in tops],
            text_offset=offsets,
            top_token_ids=None if not self._request.return_token_ids else [
                {text: other.id for text, other in top.items()} or None for top in tops])


def _fitted(echo: Delta) -> Iterator[Token]:
    """Yields the tokens of an echo with the lengths that they have in its text, which is the prompt as it was sent.

    Special tokens may be written out there, and the space may be missing that some tokenizers put before a text.
    """
    place = 0
    for token in echo.tokens:
        length = token.length
        if length == 0 and echo.text.startswith(token.text, place):
            length = len(token.text)
        elif length > 0 and token.text.startswith(' ') and not echo.text.startswith(' ', place):
            length -= 1
        place += length
        yield dataclasses.replace(token, length=length)


def rank(writers: Sequence[ChoiceWriter], request: CompletionRequest) -> list[CompletionChoice]:
    """Returns the choices in the order of the contract: prompt by prompt, the best `n` of `best_of` first."""
    candidates = request.best_of or request.n
    choices: list[CompletionChoice] = []
    for start in range(0, len(writers), candidates):
        group = list(writers[start:start + candidates])
        if candidates > request.n:
            group.sort(key=ChoiceWriter.mean_logprob, reverse=True)
        choices += [writer.take(len(choices) + place) for place, writer in enumerate(group[:request.n])]
    return choices


def shown(logprob: float) -> float:
    """Returns a logprob as the API shows it."""
    return max(logprob, LOWEST_LOGPROB)


def _top_of(token: Token) -> Mapping[str, TopToken]:
    """Returns the likeliest tokens and the token itself by their texts; nothing without logprobs.

    Of several ids with the same text the likeliest counts, and the token's own among equals.
    """
    if token.logprob is None:
        return {}
    top: dict[str, TopToken] = {}
    for other in (*(token.top or ()), TopToken(token.id, token.text, token.logprob)):
        known = top.get(other.text)
        if known is None or other.logprob >= known.logprob:
            top[other.text] = other._replace(logprob=shown(other.logprob))
    return top
