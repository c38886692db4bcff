"""The events of a stream as they come from a backend, and what they tell of its usage. Knows SSE's framing."""

import re

from sandle import errors, sse
from wrapper_access import Record
from wrapper_exchange import Exchange
from wrapper_usage import Usage, find_usage

MAX_EVENT_BYTES = 256 * 2 ** 20
LAST_EVENT = re.compile(rb'^data: ?(?:\[DONE\]|\{\s*"error")', re.MULTILINE)
USAGE_EVENT = re.compile(rb'^data: ?\{(?=[^\n]*"choices": ?\[\])[^\n]*"usage": ?\{[^\n]*\}\r?\n\r?\n', re.MULTILINE)
# A line end inside a JSON string is escaped, so an empty line always ends an event.
EVENT_ENDS = (b'\n\n', b'\r\n\r\n')


class EventReader:
    """Reads one stream. Used by the thread of its request."""

    def __init__(self, exchange: Exchange, idle_timeout_s: float) -> None:
        self._exchange = exchange
        self._idle_timeout_s = idle_timeout_s
        self._held = bytearray()
        self.is_ended = False
        """Whether the backend has ended the stream itself, with [DONE] or an error."""

    def read(self) -> bytes:
        """Returns the next events, whole ones only: an error can follow on a whole event alone. b'' is the end.

        Raises BackendLostError for a stream that the backend has not ended itself, and as `Exchange.read`.
        """
        held = self._held
        while data := self._exchange.read(self._idle_timeout_s):
            if not held and data.endswith(b'\n\n'):  # as nearly always
                self._look_for_end(data)
                return data
            held += data
            end = _end_of_events(held, len(data))
            if end:
                events = bytes(held[:end])
                del held[:end]
                self._look_for_end(events)
                return events
            if len(held) > MAX_EVENT_BYTES:
                raise errors.BadGatewayError('The backend of this model sent an event that does not end.')
        rest = bytes(held)  # of a server that leaves out the last empty line
        held.clear()
        self._look_for_end(rest)
        if not self.is_ended:
            raise errors.BackendLostError('The backend of this model broke off its answer.')
        return rest

    def _look_for_end(self, events: bytes) -> None:
        self.is_ended = self.is_ended or LAST_EVENT.search(events) is not None


def account(record: Record, events: bytes, tells_usage: bool) -> bytes:
    """Notes what events tell of the usage; returns them without what was told to this side alone.

    That is Sandle's comment lines, and the event that tells nothing but the usage unless the client is to have it.
    """
    told = list(sse.USAGE_LINE.finditer(events))
    if told:
        record.usage = Usage(int(told[-1][1]), int(told[-1][2]))
        return sse.USAGE_LINE.sub(b'', events)
    record.events += events.count(b'data: ')
    if b'"usage"' in events and (usage := find_usage(events)) is not None:
        record.usage = usage
        if not tells_usage:
            return USAGE_EVENT.sub(b'', events)
    return events


def _end_of_events(held: bytearray, new: int) -> int:
    """Returns where the last whole event ends, 0 if none does; only what is new is searched, and where it joins."""
    start = max(0, len(held) - new - 3)
    return max(found + len(end) if (found := held.rfind(end, start)) >= 0 else 0 for end in EVENT_ENDS)
