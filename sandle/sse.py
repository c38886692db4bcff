"""Framing of server-sent events. Knows bytes on the wire, and nothing of what they mean."""

import json
from collections.abc import Mapping

CONTENT_TYPE = 'text/event-stream'
HEADERS: Mapping[str, str] = {'Cache-Control': 'no-cache', 'X-Accel-Buffering': 'no'}
DONE = b'data: [DONE]\n\n'
PING = b': ping\n\n'
PING_INTERVAL_S = 15.0


def event(data: Mapping[str, object]) -> bytes:
    """Frames one JSON object as an event. JSON escapes line ends, so that no text can forge a frame."""
    return b'data: ' + json.dumps(data, ensure_ascii=False, separators=(',', ':')).encode('utf-8') + b'\n\n'
