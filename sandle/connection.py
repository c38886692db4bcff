"""A client's connection: what waitress lets through, answers by itself or waits for without end, put right.

Strict about what a request is, in our JSON where no application is asked, and impatient with a client that does not
send its request or does not read its answer. Knows sockets and HTTP's framing; nothing of requests' meaning.
"""

import contextlib
import http
import json
import logging
import re
import secrets
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error as WaitressError

from sandle import errors
from sandle.app import REQUEST_ID_HEADER

logger = logging.getLogger(__name__)

TRANSFER_ENCODING = re.compile(rb'^transfer-encoding[ \t]*:(.*)$', re.IGNORECASE | re.MULTILINE)
SLOWEST_BYTES_PER_S = 1000  # a large body may take longer, at this rate
RESET_ON_CLOSE = struct.pack('ii', 1, 0)  # struct linger: what the system still holds for the client is let go of


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take, in seconds: to send a request, whole, and to read anything of its answer."""

    receive_s: float
    send_s: float


class StrictParser(HTTPRequestParser):
    """Refuses what two servers in a row may read differently, and what waitress's own parser fails over."""

    def __init__(self, adj: Adjustments) -> None:
        super().__init__(adj)
        self.started_s = time.monotonic()

    def parse_header(self, header_plus: bytes) -> None:
        codings = TRANSFER_ENCODING.findall(header_plus)
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a Content-Length of thousands of digits, an address in half a bracket
            raise ParsingError('A number or an address in it cannot be read') from error
        if codings and 'CONTENT_LENGTH' in self.headers:
            raise ParsingError('Content-Length and Transfer-Encoding exclude each other')
        if len(codings) > 1 or codings and (b',' in codings[0] or self.version != '1.1'):
            raise ParsingError('Transfer-Encoding can be "chunked", once, in HTTP/1.1')


class RequestTimeout(WaitressError):
    """A request that did not arrive in time, as waitress speaks of errors."""

    code = errors.RequestTimeoutError.status


class JsonErrorTask(ErrorTask):
    """What waitress answers by itself, in our JSON."""

    def execute(self) -> None:
        cause: WaitressError = self.request.error  # type: ignore[attr-defined]  # the stubs call a parser an Error
        error = self._api_error(cause)
        body = json.dumps(error.body()).encode()
        self.status = f'{error.status} {http.HTTPStatus(error.status).phrase}'
        self.response_headers = [*self.response_headers, ('Content-Type', 'application/json'),
                                 (REQUEST_ID_HEADER, f'req-{secrets.token_hex(12)}')]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)

    @staticmethod
    def _api_error(cause: WaitressError) -> errors.ApiError:
        match cause.code:
            case 408:
                return errors.RequestTimeoutError('The request did not arrive in time.')
            case 413:
                return errors.BodyTooLargeError('The request body is too large.')
            case 431:
                return errors.HeadersTooLargeError('The request headers are too large.')
            case 500:
                return errors.InternalError('The server had an internal error.')
            case _:
                return errors.InvalidRequestError(f'The request is malformed: {cause.body}.')


class OneWriteTask(WSGITask):
    """Sends the head together with the first bytes of the body: one system call and one packet, not two."""

    channel: 'Channel'

    def write(self, data: bytes) -> None:
        if self.wrote_header:
            super().write(data)
            return
        with self.channel.gathered():
            super().write(data)


class Channel(HTTPChannel):
    """One connection. `check` belongs to the thread that owns the sockets, as every method of waitress's but `service`
    and what that calls."""

    parser_class = StrictParser
    task_class = OneWriteTask
    error_task_class = JsonErrorTask
    request: StrictParser | None

    def __init__(self, *args: Any, **options: Any) -> None:  # as waitress's listener calls it
        super().__init__(*args, **options)
        self._is_new = True
        self._free_since_s = time.monotonic()  # of requests under way
        self._sent_at = 0.0  # waitress's time of the last byte that left
        self._stuck_since_s = self._free_since_s
        self._gathered: list[bytes] | None = None

    def service(self) -> None:
        """Answers a request. On a thread of the pool."""
        self._is_new = False
        super().service()
        self._free_since_s = time.monotonic()

    @contextlib.contextmanager
    def gathered(self) -> Iterator[None]:
        """Writes what is written meanwhile in one piece, at its end. On the thread of the request."""
        pieces: list[bytes] = []
        self._gathered = pieces
        try:
            yield
        finally:
            self._gathered = None
        self.write_soon(b''.join(pieces))

    def write_soon(self, data: bytes) -> int:
        """Sends what it can, keeps the rest. On the thread of the request."""
        if self._gathered is not None:
            self._gathered.append(data)
        elif rest := self._send_now(data):
            super().write_soon(rest)
        return len(data)

    def _send_now(self, data: bytes) -> bytes:
        """Sends past waitress's buffers what the system takes, if they are empty; returns the rest.

        An error is left to waitress, which meets it when it sends the rest.
        """
        with self.outbuf_lock:
            if self.total_outbufs_len or not self.connected:
                return data
            try:
                sent = self.send(data, do_close=False)
            except OSError:
                return data
            if sent:
                self.last_activity = time.time()
        return data[sent:]

    def check(self, now_s: float, patience: Patience) -> None:
        """Ends the connection if its client has had all the time that it may have."""
        if self.total_outbufs_len:
            if self._sent_at != self.last_activity:
                self._sent_at, self._stuck_since_s = self.last_activity, now_s
            elif now_s - self._stuck_since_s > patience.send_s:
                logger.info('a client is dropped: it has read nothing for %g s', patience.send_s)
                self._drop()
        elif not self.requests and now_s - self._receiving_since_s(now_s) > patience.receive_s:
            self._refuse_late()

    def _receiving_since_s(self, now_s: float) -> float:
        """Returns since when a request is awaited, less the time that its size explains. An idle connection awaits none
        but its first."""
        if self.request is None:
            return self._free_since_s if self._is_new else now_s
        begun_s = self._free_since_s if self._is_new else max(self._free_since_s, self.request.started_s)
        received = self.request.header_bytes_received + self.request.body_bytes_received
        return begun_s + received / SLOWEST_BYTES_PER_S

    def _refuse_late(self) -> None:
        """Says why, to a client that has said something, and closes. Needs no thread of the pool: all may be busy."""
        if self.request is None:
            self._drop()
            return
        logger.info('a request is given up: it did not arrive in time')
        self.request.error = RequestTimeout('')
        JsonErrorTask(self, self.request).service()  # type: ignore[arg-type]  # the stubs call a parser an Error
        self.close_when_flushed = True

    def _drop(self) -> None:
        """Closes a connection that may have no room for another byte: waitress would wait for that."""
        assert self.socket is not None, 'it is open as long as its listener knows it'
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.handle_close()


class Listener(TcpWSGIServer):
    """A listening socket whose connections are Channels."""

    channel_class = Channel

    def __init__(self, patience: Patience, *args: Any, **options: Any) -> None:  # the others are waitress's own
        self._patience = patience
        super().__init__(*args, **options)

    def check_channels(self) -> None:
        """Looks after the connections, on the thread that owns them, between two polls of the sockets.

        Not in `maintenance`, which waitress calls in the middle of a poll: the number of a descriptor that is closed
        there may be a new connection's a moment later, and that one would get the events of the old one.
        """
        channels = cast(Mapping[int, Channel], self.active_channels)  # the stubs take the map for a channel
        now_s = time.monotonic()
        for channel in list(channels.values()):  # one that is closed leaves the map
            channel.check(now_s, self._patience)
