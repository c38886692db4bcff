"""What the stub answers where an answer must keep to a grammar: its own text as far as that fits, and then the shortest
way to the end that it sees.
"""

from collections.abc import Sequence

from sandle.engine.grammar import Constraint
from stub_vocab import END_OF_TEXT

CLOSING = b'}]"'  # what ends something in JSON, the most first
IN_STRING = b'a}'  # both may stand only inside of a string, which a quotation mark ends
WHITE_SPACE = b' \t\r\n'
ENDS = frozenset({END_OF_TEXT})


class Guided:
    """One answer, token by token: with the tokens of `answer` where they may stand, each once and in their order."""

    def __init__(self, constraint: Constraint, answer: Sequence[int]) -> None:
        self._constraint = constraint
        self._answer = list(answer)
        self._position = 0

    @property
    def is_complete(self) -> bool:
        """Whether nothing can follow."""
        return self._constraint.is_complete

    def next(self, may_end: bool) -> int:
        """Returns the next token, END_OF_TEXT at the end. Raises InvalidRequestError, see `Constraint.allowed`."""
        mask = self._constraint.allowed(ENDS, may_end)
        if mask is None:
            return END_OF_TEXT
        allowed = [token for token in range(END_OF_TEXT + 1) if mask[token >> 3] >> (token & 7) & 1]
        token = self._choose(mask, allowed)
        if token != END_OF_TEXT:
            self._constraint.add(token)
        self._position += 1
        return token

    def _choose(self, mask: bytes, allowed: Sequence[int]) -> int:
        """Returns a token of the answer, one that ends something, or any byte: a new one each time, so that it ends."""
        if self._answer and mask[self._answer[0] >> 3] >> (self._answer[0] & 7) & 1:
            return self._answer.pop(0)
        closing = CLOSING[::-1] if all(byte in allowed for byte in IN_STRING) else CLOSING
        ends: list[int] = [token for token in (END_OF_TEXT, *closing) if token in allowed]
        if ends:
            return ends[0]
        visible: Sequence[int] = [token for token in allowed if token not in WHITE_SPACE] or allowed
        return int(visible[7 * self._position % len(visible)])
