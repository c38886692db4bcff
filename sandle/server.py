"""waitress set right for long streams, and the way a process ends.

Knows sockets, threads and signals; knows nothing of what the application does. Each open request holds one thread, so
`threads` must exceed what may run plus what may wait, or /health starves.
"""

import http
import json
import logging
import re
import resource
import secrets
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flask
import waitress.server
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask
from waitress.utilities import Error as WaitressError

from sandle import errors
from sandle.app import REQUEST_ID_HEADER, Lifecycle

logger = logging.getLogger(__name__)

Server = waitress.server.MultiSocketServer | waitress.server.BaseWSGIServer

KEEPALIVE_TIMEOUT_S = 75
DESCRIPTORS = 65_536  # each connection holds one, and a stream through the wrapper two
TRANSFER_ENCODING = re.compile(rb'^transfer-encoding[ \t]*:(.*)$', re.IGNORECASE | re.MULTILINE)
LAST_WORDS_S = 2.0  # for streams to be told of the end once the grace period is over, and for the last bytes to leave


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where to listen and within which limits; as the options of `sandle.options`."""

    host: str
    port: int
    threads: int
    max_body_bytes: int
    drain_timeout_s: float


class StrictParser(HTTPRequestParser):
    """Refuses what two servers in a row may read differently, and what waitress's own parser fails over."""

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
            case 413:
                return errors.BodyTooLargeError('The request body is too large.')
            case 431:
                return errors.HeadersTooLargeError('The request headers are too large.')
            case 500:
                return errors.InternalError('The server had an internal error.')
            case _:
                return errors.InvalidRequestError(f'The request is malformed: {cause.body}.')


class JsonChannel(HTTPChannel):
    """A connection that keeps our manners also where no application is asked."""

    parser_class = StrictParser
    error_task_class = JsonErrorTask


def serve(app: flask.Flask, options: ServerOptions, lifecycle: Lifecycle, on_stop: Callable[[], None]) -> None:
    """Serves until SIGTERM or SIGINT, then drains and returns. Call it on the main thread.

    Draining: new requests get a 503, running ones may finish within `drain_timeout_s`; then `on_stop` must end those
    that are left. A second signal ends the process at once.
    """
    stopping = threading.Event()
    sockets: dict[int, Any] = {}  # Any: the stubs know this map and what it holds only in part
    _raise_descriptor_limit()
    try:
        server = _create(app, options, sockets)
    except OSError as error:
        raise SystemExit(f'cannot listen on {options.host}:{options.port} (--host, --port): {error.strerror}') from None

    def handle_signal(number: int, frame: object) -> None:
        if stopping.is_set():
            raise SystemExit(128 + number)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle_signal)
    thread = threading.Thread(target=_run, args=(server, stopping), name='http', daemon=True)
    thread.start()
    stopping.wait()
    logger.info('draining: up to %g s for running requests to finish', options.drain_timeout_s)
    lifecycle.begin_drain()
    is_idle = lifecycle.wait_until_idle(options.drain_timeout_s)
    on_stop()
    if not is_idle:
        lifecycle.wait_until_idle(LAST_WORDS_S)
    _wait_until_sent(sockets)
    server.close()
    logger.info('stopped')


def _raise_descriptor_limit() -> None:
    """Takes as many descriptors as the system allows, up to DESCRIPTORS: where the default is 1,024 it would not do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _run(server: Server, stopping: threading.Event) -> None:
    try:
        server.run()
    except OSError:  # the listening socket was closed under the loop, which is how it ends
        if not stopping.is_set():
            raise
    finally:
        stopping.set()


def _wait_until_sent(sockets: dict[int, Any]) -> None:
    """Waits until what was written has left, for LAST_WORDS_S at most: a request is done before its last byte is."""
    deadline_s = time.monotonic() + LAST_WORDS_S
    while any(isinstance(item, HTTPChannel) and (item.requests or item.total_outbufs_len)
              for item in list(sockets.values())) and time.monotonic() < deadline_s:
        time.sleep(0.01)


def _create(app: flask.Flask, options: ServerOptions, sockets: dict[int, Any]) -> Server:
    server = waitress.server.create_server(
        app, map=sockets, host=options.host, port=options.port, threads=options.threads,
        connection_limit=2 * options.threads + 256, asyncore_use_poll=True, channel_request_lookahead=1, backlog=1024,
        channel_timeout=KEEPALIVE_TIMEOUT_S, cleanup_interval=10, ident='sandle',
        max_request_body_size=options.max_body_bytes + 1, inbuf_overflow=options.max_body_bytes,
        outbuf_high_watermark=2 ** 18, outbuf_overflow=2 ** 20)
    for listener in [item for item in sockets.values() if isinstance(item, waitress.server.TcpWSGIServer)]:
        listener.channel_class = JsonChannel  # there is one listener for each address that the host's name has
        host, port = listener.getsockname()[:2]
        logger.info('listening on http://%s:%s', host, port)
    return server
