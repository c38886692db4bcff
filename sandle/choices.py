"""From an engine's deltas to the choices that a client reads: text, logprobs and their offsets, ranking for best_of.

Knows the shapes of the contract; knows nothing of threads, sockets or models.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from sandle.engine.engine import Delta, Token, TopToken
from sandle.protocol import CompletionChoice, CompletionRequest, Logprobs

LOWEST_LOGPROB = -9999.0  # what the API shows for minus infinity, which JSON cannot


class ChoiceWriter:
    """Gathers one choice, or hands it on piece by piece. `index` is the choice's place among all candidates."""

    def __init__(self, request: CompletionRequest, index: int, prompt_ids: Sequence[int]) -> None:
        self._request = request
        self._index = index
        self._prompt_ids = list(prompt_ids)
        self._text: list[str] = []
        self._tokens: list[Token] = []
        self._is_first_chunk = True
        self._offset = 0
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

    def chunk(self, delta: Delta) -> CompletionChoice | None:
        """Takes in a delta and returns what can be streamed now: None while there is nothing worth a chunk."""
        self.add(delta)
        is_due = self.finish_reason is not None or delta.is_prompt
        if not is_due and len(self._tokens) < self._request.stream_batch_size:
            return None
        shows_tokens = self._request.logprobs is not None or self._request.return_token_ids
        if not (is_due or any(self._text) or (shows_tokens and self._tokens)):
            return None
        return self.take(self._index)

    def take(self, index: int) -> CompletionChoice:
        """Returns everything gathered since the last call, as a choice with that index."""
        choice = CompletionChoice(
            text=''.join(self._text), index=index,
            finish_reason=self.finish_reason,  # type: ignore[arg-type]  # FinishReason's values are the protocol's
            logprobs=None if self._request.logprobs is None else self._logprobs())
        if self._request.return_token_ids:
            choice.token_ids = [token.id for token in self._tokens]
            choice.prompt_token_ids = self._prompt_ids if self._is_first_chunk else None
        self._text, self._tokens, self._is_first_chunk = [], [], False
        return choice

    def _logprobs(self) -> Logprobs:
        offsets, tops = [], [_top_of(token) for token in self._tokens]
        for token in self._tokens:
            offsets.append(self._offset)
            self._offset += token.length
        return Logprobs(
            tokens=[token.text for token in self._tokens],
            token_logprobs=[_shown(token.logprob) for token in self._tokens],
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


def _shown(logprob: float | None) -> float | None:
    return None if logprob is None else max(logprob, LOWEST_LOGPROB)


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
            top[other.text] = other._replace(logprob=max(other.logprob, LOWEST_LOGPROB))
    return top
