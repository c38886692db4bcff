"""Framing of server-sent events. Knows bytes on the wire, and nothing of what they mean."""

import json
import re
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
    return b'data: ' + json.dumps(data, ensure_ascii=False, separators=(',', ':')).encode('utf-8') + b'\n\n'


def usage_line(prompt_tokens: int, completion_tokens: int) -> bytes:
    """Returns the comment line that `USAGE_LINE` matches; an event or another line follows it."""
    return b': usage %d %d\n' % (prompt_tokens, completion_tokens)


def queue_line(position: int) -> bytes:
    """Returns the comment that tells a request that waits in how many turns its own comes, 1 for the next."""
    return b': queue %d\n\n' % position
