"""Reads the calls out of an answer, piece by piece as it is generated. Plain Python; one reader an answer.

It may rely on the answer's keeping to the grammar of `sandle.tool_forms`, but for its end, which may come anywhere.
"""

import enum
import re
from dataclasses import dataclass

from sandle.tool_forms import ToolForm

NAME = r'[a-zA-Z0-9_-]{1,64}'
SPECIAL = re.compile(r'[{}\[\]"\\]')


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Text that calls nothing."""

    text: str


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of the call with that index: its `name`, which is its beginning, or more of its arguments."""

    index: int
    name: str | None
    arguments: str


class State(enum.Enum):
    """What a reader is in the middle of."""

    TEXT = enum.auto()
    OPENING = enum.auto()
    ARGUMENTS = enum.auto()
    CLOSING = enum.auto()
    CLOSED = enum.auto()


class CallReader:
    """Splits an answer into text and calls."""

    def __init__(self, form: ToolForm) -> None:
        self._form = form
        self._first, self._further = (
            None if before is None else re.compile(f'{re.escape(before)}({NAME}){re.escape(form.middle)}')
            for before in (form.opening, form.between))
        self._state = State.TEXT
        self._held = ''
        self._has_text = False
        self._depth = 0
        self._is_in_string = False
        self.calls = 0
        """How many calls have begun."""

    @property
    def has_called(self) -> bool:
        """Whether there are calls, and all of them are whole."""
        return self._state is State.CLOSED and self._held == self._form.end

    def read(self, text: str, is_last: bool) -> list[TextPiece | CallPiece]:
        """Takes in what has been generated; returns what is known of it by now."""
        self._held += text
        pieces: list[TextPiece | CallPiece] = []
        while True:
            state, before = self._state, len(self._held)
            piece = self._next(is_last)
            if piece is not None:
                pieces.append(piece)
            if self._state is state and len(self._held) == before:
                return pieces

    def _next(self, is_last: bool) -> TextPiece | CallPiece | None:
        match self._state:
            case State.TEXT:
                return self._read_text(is_last)
            case State.OPENING:
                return self._read_opening()
            case State.ARGUMENTS:
                return self._read_arguments()
            case State.CLOSING:
                self._read_closing()
            case State.CLOSED:
                return self._read_opening()
        return None

    def _read_text(self, is_last: bool) -> TextPiece | None:
        mark = self._form.mark
        place = self._held.find(mark)
        if self._form.stands_alone and (self._has_text or place > 0):
            place = -1
        if place >= 0:
            self._state = State.OPENING
        else:
            begun = next((length for length in range(min(len(mark) - 1, len(self._held)), 0, -1)
                          if mark.startswith(self._held[-length:])), 0)
            place = len(self._held) - (0 if is_last else begun)
        text, self._held = self._held[:place], self._held[place:]
        self._has_text |= bool(text)
        return TextPiece(text) if text else None

    def _read_opening(self) -> CallPiece | None:
        pattern = self._further if self.calls else self._first
        found = None if pattern is None else pattern.match(self._held)
        if found is None:
            return None
        self._held = self._held[found.end():]
        self._state = State.ARGUMENTS
        self.calls += 1
        return CallPiece(self.calls - 1, found[1], '')

    def _read_arguments(self) -> CallPiece | None:
        end = self._end_of_arguments()
        arguments, self._held = self._held[:end], self._held[end:]
        return CallPiece(self.calls - 1, None, arguments) if arguments else None

    def _end_of_arguments(self) -> int:
        """Returns how much of what is held belongs to the arguments, a JSON object; notes whether that ends there."""
        place = 0
        while found := SPECIAL.search(self._held, place):
            place = found.end()
            if found[0] == '\\':
                if place == len(self._held):
                    return place - 1  # what it escapes is still to come
                place += 1
            elif found[0] == '"':
                self._is_in_string = not self._is_in_string
            elif not self._is_in_string:
                self._depth += 1 if found[0] in '{[' else -1
                if self._depth == 0:
                    self._state = State.CLOSING
                    return place
        return len(self._held)

    def _read_closing(self) -> None:
        if self._held.startswith(self._form.closing):
            self._held = self._held.removeprefix(self._form.closing)
            self._state = State.CLOSED
