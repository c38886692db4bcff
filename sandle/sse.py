"""Framing of server-sent events. Knows bytes on the wire, and nothing of what they mean."""

import json
import re
import time
from collections.abc import Mapping

CONTENT_TYPE = 'text/event-stream'
HEADERS: Mapping[str, str] = {'Cache-Control': 'no-cache', 'X-Accel-Buffering': 'no'}
DONE = b'data: [DONE]\n\n'
PING = b': ping\n\n'
PING_INTERVAL_S = 15.0
USAGE_LINE = re.compile(rb'^: usage (\d+) (\d+)\r?\n', re.MULTILINE)
"""A comment, which clients ignore: tokens of the prompts, and tokens generated so far."""

QUEUE_AFTER_S = 1.0
"""How long a streamed request waits before its answer begins with its position in the queue."""


def event(data: Mapping[str, object]) -> bytes:
    """Frames one JSON object as an event. JSON escapes line ends, so that no text can forge a frame."""
    return json_event(json.dumps(data, ensure_ascii=False, separators=(',', ':')))


def json_event(data: str) -> bytes:
    """Frames the JSON of one object, which is one line, as an event."""
    return b'data: ' + data.encode('utf-8') + b'\n\n'


def usage_line(prompt_tokens: int, completion_tokens: int) -> bytes:
    """Returns the comment line that `USAGE_LINE` matches; an event or another line follows it."""
    return b': usage %d %d\n' % (prompt_tokens, completion_tokens)


class Comments:
    """What fills the silence of one stream: its place in the queue whenever that changes, and pings."""

    def __init__(self) -> None:
        self._last_byte_s = time.monotonic()
        self._told: int | None = None

    def silence_ends(self) -> None:
        """Notes that something else is sent."""
        self._last_byte_s = time.monotonic()

    def due(self, position: int | None) -> bytes:
        """Returns what is to be sent now, b'' for nothing.

        `position`: in how many turns the request's own comes, 1 for the next; None if it does not wait.
        """
        if position is not None and position != self._told:
            comment = b': queue %d\n\n' % position
        elif time.monotonic() - self._last_byte_s >= PING_INTERVAL_S:
            comment = PING
        else:
            return b''
        self._told = position
        self.silence_ends()
        return comment
