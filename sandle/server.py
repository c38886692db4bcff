"""waitress set right for long streams, and the way a process ends.

Knows sockets, threads and signals; knows nothing of what the application does. Each open request holds one thread, so
`threads` must exceed what may run plus what may wait, or /health starves.
"""

import logging
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flask
from waitress import wasyncore
from waitress.adjustments import Adjustments

from sandle.app import Lifecycle
from sandle.connection import Channel, Listener, Patience
from sandle.workers import Workers

logger = logging.getLogger(__name__)

KEEPALIVE_TIMEOUT_S = 75
LOOP_S = 1.0  # how often the thread of the sockets looks after the clients' deadlines
DESCRIPTORS = 65_536  # each connection holds one, and a stream through the wrapper two
SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_SNDBUF, 2 ** 17),  # else the system takes megabytes for a client that does not read
]
LAST_WORDS_S = 2.0  # for streams to be told of the end once the grace period is over, and for the last bytes to leave


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where to listen and within which limits; as the options of `sandle.options`, which make it."""

    host: str
    port: int
    max_body_bytes: int
    receive_timeout_s: float
    send_timeout_s: float
    drain_timeout_s: float


def serve(app: flask.Flask, options: ServerOptions, threads: int, lifecycle: Lifecycle,
          on_stop: Callable[[], None]) -> None:
    """Serves until SIGTERM or SIGINT, then drains and returns. Call it on the main thread.

    `threads` is how many requests may be under way at once.

    Draining: new requests get a 503, running ones may finish within `drain_timeout_s`; then `on_stop` must end those
    that are left. A second signal ends the process at once.
    """
    stopping = threading.Event()
    sockets: dict[int, Any] = {}  # Any: the stubs know this map and what it holds only in part
    _raise_descriptor_limit()
    try:
        listeners = _listen(app, options, threads, sockets)
    except OSError as error:
        raise SystemExit(f'cannot listen on {options.host}:{options.port} (--host, --port): {error.strerror}') from None
    _watch_signals(stopping)
    threading.Thread(target=_run, args=(listeners, sockets, stopping), name='http', daemon=True).start()
    stopping.wait()
    logger.info('draining: up to %g s for running requests to finish', options.drain_timeout_s)
    lifecycle.begin_drain()
    is_idle = lifecycle.wait_until_idle(options.drain_timeout_s)
    on_stop()
    if not is_idle:
        lifecycle.wait_until_idle(LAST_WORDS_S)
    _wait_until_sent(sockets)
    for listener in listeners:
        listener.close()
    logger.info('stopped')


def _raise_descriptor_limit() -> None:
    """Takes as many descriptors as the system allows, up to DESCRIPTORS: where the default is 1,024 it would not do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _watch_signals(stopping: threading.Event) -> None:
    """Sets `stopping` at the first SIGTERM or SIGINT and ends the process at the second.

    A signal's Python handler runs on the main thread alone, and not before that thread comes back from what it waits
    for: a signal that arrives as the thread is about to wait would be forgotten until the next. The interpreter's own
    handler, though, writes the number to a socket at once, on whichever thread; and who reads it may take locks.
    """
    numbers, written = socket.socketpair()
    written.setblocking(False)

    def watch() -> None:
        numbers.recv(1)
        stopping.set()
        os._exit(128 + numbers.recv(1)[0])

    threading.Thread(target=watch, name='signals', daemon=True).start()
    signal.set_wakeup_fd(written.detach())  # open until the process ends
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: None)


def _run(listeners: list[Listener], sockets: dict[int, Any], stopping: threading.Event) -> None:
    checked_s = time.monotonic()
    try:
        while sockets:
            wasyncore.poll2(LOOP_S, sockets)
            if time.monotonic() - checked_s >= LOOP_S:
                checked_s = time.monotonic()
                for listener in listeners:
                    listener.check_channels()
    except OSError:  # the listening socket was closed under the loop, which is how it ends
        if not stopping.is_set():
            raise
    finally:
        stopping.set()


def _wait_until_sent(sockets: dict[int, Any]) -> None:
    """Waits until what was written has left, for LAST_WORDS_S at most: a request is done before its last byte is."""
    deadline_s = time.monotonic() + LAST_WORDS_S
    while any(isinstance(item, Channel) and (item.requests or item.total_outbufs_len)
              for item in list(sockets.values())) and time.monotonic() < deadline_s:
        time.sleep(0.01)  # between two looks


def _listen(app: flask.Flask, options: ServerOptions, threads: int, sockets: dict[int, Any]) -> list[Listener]:
    """Returns a listener for each address that the host's name has. Raises OSError."""
    settings = Adjustments(
        host=options.host, port=options.port, connection_limit=2 * threads + 256, channel_request_lookahead=1,
        backlog=1024, channel_timeout=KEEPALIVE_TIMEOUT_S, cleanup_interval=10, ident='sandle',
        max_request_body_size=options.max_body_bytes + 1, inbuf_overflow=options.max_body_bytes,
        outbuf_high_watermark=2 ** 18, outbuf_overflow=2 ** 20)
    settings.socket_options = SOCKET_OPTIONS
    workers = Workers(threads)
    patience = Patience(options.receive_timeout_s, options.send_timeout_s)
    listeners = [Listener(patience, app, sockets, dispatcher=workers, adj=settings, sockinfo=address)
                 for address in settings.listen]
    for listener in listeners:
        logger.info('listening on http://%s:%s', *listener.getsockname())
    return listeners
