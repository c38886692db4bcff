"""Passing a request on to a backend and its answer back, byte for byte and as soon as it comes.

Knows HTTP and how events are framed; which models there are is the registry's. A stream that a backend does not end
itself, with [DONE] or an error, is ended here with one error event: a client must never take half an answer for one.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPMessage

import flask

from sandle import app as http
from sandle import errors, sse
from wrapper_access import ENDED, Record, record
from wrapper_answers import check
from wrapper_backend import Backend, CannotConnectError
from wrapper_exchange import Exchange, Watcher
from wrapper_usage import Usage, find_usage

logger = logging.getLogger(__name__)

# Hop-by-hop headers must not be passed on, and a backend's others are nobody's business.
PASSED_HEADERS = ('Content-Type', 'Content-Encoding', 'Cache-Control', 'Retry-After', 'X-Accel-Buffering')
MAX_ANSWER_BYTES = 256 * 2 ** 20  # of an unstreamed answer, or of a single event
LAST_EVENT = re.compile(rb'^data: ?(?:\[DONE\]|\{\s*"error")', re.MULTILINE)
# A line end inside a JSON string is escaped, so an empty line always ends an event.
EVENT_ENDS = (b'\n\n', b'\r\n\r\n')


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a backend may take, in seconds, until its answer begins and between two pieces of it."""

    first_byte_s: float
    idle_s: float


class Forwarder:
    """Passes requests on, so many at once and no more. Used from any thread."""

    def __init__(self, watcher: Watcher, timeouts: Timeouts, max_running: int, on_lost: Callable[[], None]) -> None:
        """`on_lost` is called when a backend cannot be connected to."""
        self._watcher = watcher
        self._timeouts = timeouts
        self._slots = threading.BoundedSemaphore(max_running)
        self._on_lost = on_lost

    def forward(self, backends: Sequence[Backend], method: str, path: str, body: bytes | None = None) -> flask.Response:
        """Returns the answer of the first of the backends that can be connected to. `body` is JSON. Raises ApiError."""
        if not self._slots.acquire(blocking=False):
            raise errors.QueueFullError('The server is working on as many requests as it can.', retry_after_s=1)
        passage = Passage(self._timeouts, self._slots.release, record())
        try:
            passage.start(self._watcher, backends, method, path, body, self._on_lost)
            return passage.answer()
        except BaseException as error:
            passage.close(error.code if isinstance(error, errors.ApiError) else None)
            raise


class Passage:
    """One request on its way. Used by the thread of that request."""

    def __init__(self, timeouts: Timeouts, release: Callable[[], None], current: Record) -> None:
        self._timeouts = timeouts
        self._release: Callable[[], None] | None = release
        self._record = current
        self._exchange: Exchange | None = None

    def start(self, watcher: Watcher, backends: Sequence[Backend], method: str, path: str, body: bytes | None,
              on_lost: Callable[[], None]) -> None:
        """Sends the request to the first backend that can be connected to. Raises ApiError."""
        headers = {'Accept': f'application/json, {sse.CONTENT_TYPE}', http.REQUEST_ID_HEADER: flask.g.request_id}
        if body is not None:
            headers |= {'Content-Type': 'application/json', sse.USAGE_HEADER: '1'}
        failure: errors.ApiError | None = None
        for backend in backends:
            self._exchange = Exchange(backend, watcher, http.client_disconnected())
            try:
                self._exchange.start(method, path, body, headers, self._timeouts.first_byte_s)
                return
            except CannotConnectError as error:
                logger.warning('backend %s cannot be connected to: %s', backend.url, error.__cause__)
                self._exchange.close()
                on_lost()
                failure = error
        assert failure is not None, 'there is a backend to ask'
        raise failure

    def answer(self) -> flask.Response:
        """Returns the response to give: a stream that goes on, or a whole answer that has come."""
        assert self._exchange is not None
        headers = _passed_headers(self._exchange.headers)
        content_type = headers.get('Content-Type', '')
        status = self._exchange.status
        if status == 200 and content_type.partition(';')[0].strip().lower() == sse.CONTENT_TYPE:
            events = http.within_request(self._events(self._exchange))
            response = flask.Response(events, headers={**sse.HEADERS, **headers})
            response.call_on_close(self.close)  # also when the client leaves before the first byte
            return response
        body = self._exchange.read_all(self._timeouts.idle_s, MAX_ANSWER_BYTES)
        self.close()
        check(status, content_type, headers.get('Retry-After'), body)
        self._record.usage = find_usage(body)
        return flask.Response(body, status, headers)

    def _account(self, events: bytes) -> bytes:
        """Notes what events tell of the usage; returns them without what was told to this side alone."""
        told = list(sse.USAGE_LINE.finditer(events))
        if told:
            self._record.usage = Usage(int(told[-1][1]), int(told[-1][2]))
            return sse.USAGE_LINE.sub(b'', events)
        self._record.events += events.count(b'data: ')
        if b'"usage"' in events and (usage := find_usage(events)) is not None:
            self._record.usage = usage
        return events

    def close(self, reason: str | None = None) -> None:
        """Ends the request wherever it stands, for a reason that the log is told. May be called twice."""
        if reason is not None:
            self._record.reason = reason
        if self._exchange is not None:
            self._exchange.close()
        release, self._release = self._release, None
        if release is not None:
            release()

    def _events(self, exchange: Exchange) -> Iterator[bytes]:
        """Yields the events as they come, whole ones only: an error can follow on a whole event alone."""
        held = bytearray()
        is_ended = False
        try:
            while data := exchange.read(self._timeouts.idle_s):
                held += data
                end = _end_of_events(held, len(data))
                if end:
                    events = self._account(bytes(held[:end]))
                    del held[:end]
                    is_ended = is_ended or LAST_EVENT.search(events) is not None
                    if self._record.first_token_s is None and b'data:' in events:  # and not a ping alone
                        self._record.first_token_s = time.monotonic() - self._record.started_s
                    self._record.sent_bytes += len(events)
                    yield events
                if len(held) > MAX_ANSWER_BYTES:
                    raise errors.BadGatewayError('The backend of this model sent an event that does not end.')
            is_ended = is_ended or LAST_EVENT.search(held) is not None
            if not is_ended:
                raise errors.BackendLostError('The backend of this model broke off its answer.')
            if held:  # a server that leaves out the last empty line
                yield bytes(held)
            self._record.reason = ENDED
        except errors.ApiError as error:
            self._record.reason = error.code or error.type
            if not is_ended and not isinstance(error, errors.ClientGoneError):
                logger.warning('a stream was cut short: %s', error.message)
                yield sse.event(error.body())
        except GeneratorExit:
            self._record.reason = 'client_disconnected'
            raise
        finally:
            self.close()


def _passed_headers(given: HTTPMessage) -> dict[str, str]:
    return {name: ' '.join(value.split()) for name in PASSED_HEADERS if (value := given.get(name))}


def _end_of_events(held: bytearray, new: int) -> int:
    """Returns where the last whole event ends, 0 if none does; only what is new is searched, and where it joins."""
    start = max(0, len(held) - new - 3)
    return max(found + len(end) if (found := held.rfind(end, start)) >= 0 else 0 for end in EVENT_ENDS)
