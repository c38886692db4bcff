"""From tokens to text, piece by piece: characters that span tokens, and strings that end an answer.

Plain Python; one instance a sequence, used on the thread that generates it.
"""

import codecs
from collections.abc import Sequence


class Detokenizer:
    """Turns the bytes of one token after another into text, holding back a character that is not yet whole.

    Bytes that can no longer become a character are U+FFFD, as in a decoding of the whole; those that still could when
    the text ends are left out. With `strips_first_space` a space that the text begins with is left out, too.
    """

    def __init__(self, strips_first_space: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder('utf-8')(errors='replace')
        self._strips = strips_first_space

    def add(self, token: bytes) -> str:
        """Returns the characters that this token completes."""
        text = self._decoder.decode(token)
        if self._strips and text:
            self._strips = False
            return text.removeprefix(' ')
        return text


class StopFinder:
    """Passes text on until one of the stop strings is complete, holding back only what may be the beginning of one.

    The stop string that is complete first ends the text, wherever the pieces are cut; of two that are complete at the
    same character it is the longer one.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ''
        self.has_stopped = False

    def add(self, piece: str) -> str:
        """Returns the text that is safe to show; nothing follows once `has_stopped` is true."""
        if self.has_stopped:
            return ''
        if not self._stops:
            return piece
        text = self._held + piece
        matches = [(start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0]
        if matches:
            self.has_stopped = True
            self._held = ''
            return text[:min(matches)[1]]
        keep = self._held_length(text)
        self._held = text[len(text) - keep:]
        return text[:len(text) - keep]

    def flush(self) -> str:
        """Returns the text held back, at an end that is no stop string's."""
        held, self._held = self._held, ''
        return held

    def _held_length(self, text: str) -> int:
        """Returns the length of the longest end of `text` that is a proper beginning of a stop string."""
        longest = min(len(text), max(map(len, self._stops)) - 1)
        for length in range(longest, 0, -1):
            end = text[len(text) - length:]
            if any(len(stop) > length and stop.startswith(end) for stop in self._stops):
                return length
        return 0


def token_text(token: bytes) -> str:
    """Returns a token as the API shows it by itself: its text, or `bytes:\\xe2\\x80` when that is not valid UTF-8."""
    try:
        return token.decode('utf-8')
    except UnicodeDecodeError:
        return 'bytes:' + ''.join(f'\\x{byte:02x}' for byte in token)
