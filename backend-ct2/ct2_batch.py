"""One call of the library: the sequences that it works on together, and what it tells of them as events.

Runs on a thread of its own and on the library's; the engine thread reads the events.
"""

import logging
import queue
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ct2_library import Detail, Floats, Library, Settings

from sandle.engine.answer import Answer

logger = logging.getLogger(__name__)

Likeliest = list[tuple[int, float]]  # tokens with their logprobs, most likely first


@dataclass(slots=True, eq=False)
class Row:
    """A sequence's place in a batch. The engine thread sets `is_over`, and the library's thread then lets it go."""

    answer: Answer
    prompt: list[str]  # its tokens as they are written
    is_over: bool = False

    @property
    def alternatives(self) -> int:
        """The number of likeliest tokens that are wanted."""
        return self.answer.request.params.logprobs or 0


@dataclass(frozen=True, slots=True)
class Chosen:
    """A row has got a token."""

    row: Row
    token: int
    logprob: float | None
    top: Likeliest


@dataclass(frozen=True, slots=True)
class Scored:
    """The tokens of a row's prompt have been judged, all but the first."""

    row: Row
    scores: list[tuple[float, Likeliest]]


@dataclass(frozen=True, slots=True)
class Ended:
    """The library has done with a batch, or failed."""

    batch: 'Batch'
    has_failed: bool


Event = Chosen | Scored | Ended


@dataclass(slots=True, eq=False)
class Batch:
    """Rows that are worked on with the same settings. Scores the prompts of those that want it, then generates."""

    rows: list[Row]
    settings: Settings
    library: Library
    events: 'queue.SimpleQueue[Event]'
    _writing: list[Row] = field(init=False)
    _step: int = -1
    _told: int = 0  # of how many rows a token of the step has been told
    _logprobs: Floats | None = None  # [rows that have not ended, V], of the step

    def __post_init__(self) -> None:
        self._writing = [row for row in self.rows if row.answer.request.params.max_tokens]

    def run(self) -> None:
        """Works on it to its end. On a thread of its own."""
        has_failed = False
        try:
            for row in self.rows:
                if row.answer.sequence.scores_prompt and not row.is_over:
                    self.events.put(Scored(row, list(self._scores(row))))
            if self._writing:
                self.library.generate([row.prompt for row in self._writing], self.settings,
                                      max(row.answer.request.params.max_tokens for row in self._writing),
                                      self._take)
        except Exception:  # an edge: whatever the library raises ends the batch, and not the engine
            logger.exception('CTranslate2 failed; the sequences of its batch are ended')
            has_failed = True
        self.events.put(Ended(self, has_failed))

    def _take(self, result: Any) -> bool:  # Any: the library has no types
        """Passes a token on; returns whether its row is over. On a thread of the library's."""
        row = self._writing[result.batch_id]
        is_over: bool = row.is_over  # once, for the engine thread may set it at any moment
        if self.settings.detail is Detail.TOP:
            self._follow(result)
        if not is_over:
            self.events.put(Chosen(row, result.token_id, *self._judged(row, result)))
        return is_over

    def _follow(self, result: Any) -> None:
        """Finds a token's numbers: all of a step's come with the first token, in the order in which the others follow.

        (The library sorts the rows, and tells no token of those of which it is still reading the prompt: such rows are
        not to be in a batch with this detail.)
        """
        self._told += 1
        if result.step != self._step:
            self._step, self._told = result.step, 1
            self._logprobs = _log_softmax(np.array(result.logits, np.float32))

    def _judged(self, row: Row, result: Any) -> tuple[float | None, Likeliest]:
        """Returns a token's logprob, as far as it is wanted, and the likeliest ones."""
        if self._logprobs is None:
            return result.log_prob, []
        logprobs = self._logprobs[self._told - 1]
        return float(logprobs[result.token_id]), _top(logprobs, row.alternatives)

    def _scores(self, row: Row) -> Iterator[tuple[float, Likeliest]]:
        sequence = row.answer.sequence
        prompt = sequence.tokens[:sequence.prompt_length]
        logprobs = self.library.score(prompt)
        for position, token in enumerate(prompt[1:]):
            yield float(logprobs[position, token]), _top(logprobs[position], row.alternatives)


def _top(logprobs: Floats, count: int) -> Likeliest:
    """Returns the likeliest of logprobs [V]."""
    count = min(count, len(logprobs))
    if not count:
        return []
    likeliest: Sequence[int] = np.argpartition(-logprobs, count - 1)[:count].tolist()
    return sorted(((token, float(logprobs[token])) for token in likeliest), key=lambda each: (-each[1], each[0]))


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(-1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result
