"""Passing a request on to a replica and its answer back, byte for byte and as soon as it comes.

Knows HTTP; which models there are is the registry's, and which replica is asked the attempts'. A stream that a backend
does not end itself, with [DONE] or an error, is ended here with one error event: a client must never take half an
answer for one.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import flask

from sandle import app as http
from sandle import errors, sse
from wrapper_access import ENDED, Record, record
from wrapper_answers import as_error, check
from wrapper_attempts import Attempts, Outgoing
from wrapper_dialect import Request
from wrapper_events import EventReader, account
from wrapper_exchange import Exchange, Watcher
from wrapper_inquiries import Inquiries
from wrapper_registry import Route
from wrapper_usage import find_usage

logger = logging.getLogger(__name__)

# Hop-by-hop headers must not be passed on, and a backend's others are nobody's business.
PASSED_HEADERS = ('Content-Type', 'Content-Encoding', 'Cache-Control', 'Retry-After', 'X-Accel-Buffering')
MAX_ANSWER_BYTES = 256 * 2 ** 20  # of an unstreamed answer


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a backend may take, in seconds, until its answer begins and between two pieces of it."""

    first_byte_s: float
    idle_s: float


class Forwarder:
    """Passes requests on. Used from any thread."""

    def __init__(self, watcher: Watcher, inquiries: Inquiries, timeouts: Timeouts) -> None:
        self._watcher = watcher
        self._inquiries = inquiries
        self._timeouts = timeouts

    def forward(self, route: Route, method: str, path: str, request: Request | None = None) -> flask.Response:
        """Returns the answer of one of a model's replicas.

        Raises CannotConnectError, ModelLoadingError and QueueFullError if none has taken the request, and any other
        ApiError.
        """
        current = record()
        headers = {'Accept': f'application/json, {sse.CONTENT_TYPE}', http.REQUEST_ID_HEADER: flask.g.request_id,
                   http.KEY_HEADER: current.key_name, **current.backend_headers}
        name = self._inquiries.new_name()
        if request is not None:
            headers |= {'Content-Type': 'application/json', http.USAGE_HEADER: name}
        outgoing = Outgoing(method, path, request, headers, self._timeouts.first_byte_s)
        attempts = Attempts(outgoing, route, self._watcher, http.client_disconnected())

        def ask_for_usage(requests: int) -> None:
            if request is not None and attempts.replica is not None:
                self._inquiries.ask(attempts.replica, name, current, requests)

        passage = Passage(attempts, self._timeouts.idle_s, current, request is None or request.tells_usage,
                          lambda: ask_for_usage(requests=0))
        try:
            return passage.answer()
        except BaseException as error:
            if isinstance(error, errors.ClientGoneError):
                ask_for_usage(requests=1)
            passage.close(error.code if isinstance(error, errors.ApiError) else None)
            raise


class Passage:
    """One answer on its way. Used by the thread of its request."""

    def __init__(self, attempts: Attempts, idle_timeout_s: float, current: Record, tells_usage: bool,
                 on_untold: Callable[[], None]) -> None:
        """`on_untold` is called when the client leaves a stream that has told no usage."""
        self._on_untold = on_untold
        self._attempts = attempts
        self._idle_timeout_s = idle_timeout_s
        self._record = current
        self._tells_usage = tells_usage

    def answer(self) -> flask.Response:
        """Returns the response to give: a stream that has begun and goes on, or a whole answer. Raises ApiError."""
        exchange = self._attempts.begin()
        while True:
            try:
                return self._stream(exchange) if _is_stream(exchange) else self._whole(exchange)
            except errors.BackendLostError as error:
                exchange = self._attempts.again(error)
            except errors.GatewayTimeoutError:
                self._attempts.failed()
                raise

    def close(self, reason: str | None = None) -> None:
        """Ends the request wherever it stands, for a reason that the log is told. May be called twice."""
        if reason is not None:
            self._record.reason = reason
        self._attempts.close()
        self._record.replicas_asked = self._attempts.asked

    def _whole(self, exchange: Exchange) -> flask.Response:
        body = exchange.read_all(self._idle_timeout_s, MAX_ANSWER_BYTES)
        headers = _passed_headers(exchange.headers)
        status = exchange.status
        self.close()
        said = status, headers.get('Content-Type', ''), headers.get('Retry-After'), body
        check(*said)
        if (status == 503 and not self._attempts.was_lost
                and isinstance(refusal := as_error(*said), (errors.ModelLoadingError, errors.QueueFullError))):
            raise refusal  # nothing was done: it may be asked again
        self._record.usage = find_usage(body)
        return flask.Response(body, status, headers)

    def _stream(self, exchange: Exchange) -> flask.Response:
        """Returns once the first event is there: until then, what goes wrong still has a status of its own."""
        reader = EventReader(exchange, self._idle_timeout_s)
        first = reader.read()
        response = flask.Response(http.within_request(self._events(reader, first)),
                                  headers={**sse.HEADERS, **_passed_headers(exchange.headers)})
        response.call_on_close(self.close)  # also when the client leaves before the first byte
        return response

    def _events(self, reader: EventReader, events: bytes) -> Iterator[bytes]:
        """Yields the events given and those to come, and an error for a stream that is cut short."""
        current = self._record
        try:
            while events:
                if current.first_token_s is None and b'data:' in events:  # and not a ping alone
                    current.first_token_s = time.monotonic() - current.started_s
                events = account(current, events, self._tells_usage)
                current.sent_bytes += len(events)
                yield events
                try:
                    events = reader.read()
                except errors.BackendLostError as error:
                    if current.first_token_s is not None:
                        raise
                    reader, events = self._begin_again(error)
            current.reason = ENDED
        except errors.ApiError as error:
            current.reason = error.code or error.type
            if isinstance(error, (errors.BackendLostError, errors.GatewayTimeoutError)):
                self._attempts.failed()
            if not reader.is_ended and not isinstance(error, errors.ClientGoneError):
                logger.warning('a stream was cut short: %s', error.message)
                yield sse.event(error.body())
        except GeneratorExit:
            current.reason = 'client_disconnected'
            raise
        finally:
            if current.usage is None and current.reason == errors.ClientGoneError.code:
                self._on_untold()
            self.close()

    def _begin_again(self, lost: errors.BackendLostError) -> tuple[EventReader, bytes]:
        """Returns another replica's stream and its first events, where only comments have been passed on so far."""
        exchange = self._attempts.again(lost)
        if not _is_stream(exchange):
            body = exchange.read_all(self._idle_timeout_s, MAX_ANSWER_BYTES)
            headers = _passed_headers(exchange.headers)
            raise as_error(exchange.status, headers.get('Content-Type', ''), headers.get('Retry-After'), body)
        reader = EventReader(exchange, self._idle_timeout_s)
        return reader, reader.read()


def _is_stream(exchange: Exchange) -> bool:
    content_type = exchange.headers.get('content-type', '')
    return exchange.status == 200 and content_type.partition(';')[0].strip().lower() == sse.CONTENT_TYPE


def _passed_headers(given: Mapping[str, str]) -> dict[str, str]:
    return {name: ' '.join(value.split()) for name in PASSED_HEADERS if (value := given.get(name.lower()))}
