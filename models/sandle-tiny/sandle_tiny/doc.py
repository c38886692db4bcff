"""What a training document is, and which texts are held out of training. Knows nothing of models or tokenizers."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass

HELD_OUT_SHARE = 0.08
"""Share of prompts (and of sums, sequences and phrases) that training never sees."""

USER, ASSISTANT, SYSTEM = '<|user|>', '<|assistant|>', '<|system|>'
"""Special tokens that open a message of a chat."""


@dataclass(frozen=True)
class Part:
    """A stretch of text: an answer is learned with full weight, a prompt only lightly."""

    text: str
    is_answer: bool


@dataclass(frozen=True)
class Doc:
    """A document: prompts and answers in turn, each answer followed by the end-of-text token when it is the last."""

    kind: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The whole text, without special tokens for beginning and end."""
        return ''.join(part.text for part in self.parts)


@dataclass(frozen=True)
class Case:
    """A question with the answer that is right for it: what tests are made of."""

    kind: str
    prompt: str
    answer: str
    key: str = ''
    """What decides whether it is held out, beside the prompt itself: `12+30` for every wording of that sum."""

    @property
    def is_seen(self) -> bool:
        """Whether training may contain it."""
        return not (is_held_out(self.prompt) or (self.key and is_held_out(self.key)))

    def doc(self) -> Doc:
        """The training document of this case."""
        return Doc(self.kind, (Part(self.prompt, False), Part(self.answer, True)))


Maker = Callable[[random.Random], Case]


def is_held_out(text: str) -> bool:
    """Whether a text belongs to the held-out share: a stable hash decides, so that every run agrees."""
    digest = hashlib.sha256(text.strip().encode()).digest()
    return int.from_bytes(digest[:4], 'big') < HELD_OUT_SHARE * 2**32


def whole(kind: str, text: str) -> Doc:
    """A document learned from its first word to its last."""
    return Doc(kind, (Part(text, True),))


def trailing_space(rng: random.Random, case: Case, chance: float = 0.07) -> Case:
    """Now and then moves the space that opens the answer to the end of the prompt, as people type it."""
    if case.answer.startswith(' ') and rng.random() < chance:
        return Case(case.kind, case.prompt + ' ', case.answer[1:], case.key or case.prompt)
    return case


def upper_first(text: str) -> str:
    """The text with its first letter in upper case and the rest as it is."""
    return text[:1].upper() + text[1:]
