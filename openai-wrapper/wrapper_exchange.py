"""One request to a backend with its answer, and the watcher that can end it from outside.

A thread blocked in a socket can look at nothing, so one watcher thread looks for all: whether the client has left,
whether a deadline has passed, whether the process ends. It has one way to end an exchange: `abort`, which shuts the
socket, so that the blocked thread wakes up and raises the cause. Knows HTTP bytes, nothing of what they mean.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping

from sandle import errors
from wrapper_replica import CannotConnectError, Connection, Replica
from wrapper_response import NotHttpError

WATCH_INTERVAL_S = 0.05
STALE_WITHIN_S = 1.0  # a backend that ends later has worked on the request, and may have died of it: not a second time


class Exchange:
    """A request to a backend. All methods but `abort` and `check` belong to the thread of the request."""

    def __init__(self, replica: Replica, watcher: 'Watcher', is_client_gone: Callable[[], bool]) -> None:
        self._replica = replica
        self._watcher = watcher
        self._is_client_gone = is_client_gone
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._socket: socket.socket | None = None  # the connection lets go of it when the answer ends with it
        self._early = b''  # of the answer's body: what came with its head
        self._cause: errors.ApiError | None = None
        self._deadline_s: float | None = None
        self.status = 0
        self.headers: Mapping[str, str] = {}
        """The headers of the answer, by their names in lower case."""

    def start(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float) -> None:
        """Sends the request and waits for the head of the answer.

        A request that met a connection which the backend had just closed is sent again, once, on a new one. Raises
        CannotConnectError, BackendLostError, BadGatewayError, GatewayTimeoutError after `timeout_s`, and any cause
        of an abort.
        """
        self._watcher.add(self)
        try:
            self._send(method, path, body, headers, timeout_s, is_fresh=False)
        except StaleConnectionError as stale:
            try:
                self._send(method, path, body, headers, timeout_s, is_fresh=True)
            except CannotConnectError:  # it has had the request, and may have died of it
                raise self._reason() from stale

    def read(self, timeout_s: float) -> bytes:
        """Returns what the backend has sent on as soon as there is any; b'' at the end of a whole answer.

        Raises BackendLostError for an answer cut short, GatewayTimeoutError after `timeout_s` of silence, and any
        cause of an abort.
        """
        connection = self._connection
        assert connection is not None, 'it was started'
        data, self._early = self._early, b''
        self._deadline_s = time.monotonic() + timeout_s
        try:
            while not data and not connection.response.is_complete:
                data = connection.receive()
        except (OSError, NotHttpError) as error:
            raise self._reason(error) from error
        finally:
            self._deadline_s = None  # the time that the client takes to read is not the backend's
        if self._cause is not None:
            raise self._cause
        return data

    def read_all(self, timeout_s: float, max_bytes: int) -> bytes:
        """Returns the whole answer. Raises as `read` does, and BadGatewayError for more than `max_bytes`."""
        pieces = []
        size = 0
        while data := self.read(timeout_s):
            pieces.append(data)
            size += len(data)
            if size > max_bytes:
                raise errors.BadGatewayError(f'The backend of this model gave more than {max_bytes} bytes.')
        return b''.join(pieces)

    def abort(self, cause: errors.ApiError) -> None:
        """Ends the exchange: its thread raises `cause`. The first cause stays. From any thread."""
        with self._lock:
            if self._cause is not None:
                return
            self._cause = cause
            if self._socket is not None:
                try:
                    # The plain socket's method: TLS's own would touch what the reading thread uses.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:
                    pass  # the backend was faster

    def check(self, now_s: float) -> None:
        """Aborts if the client has gone or the deadline has passed. On the watcher's thread."""
        deadline_s = self._deadline_s
        if self._is_client_gone():
            self.abort(errors.ClientGoneError('The client has closed its connection.'))
        elif deadline_s is not None and now_s > deadline_s:
            self.abort(errors.GatewayTimeoutError('The backend of this model did not answer in time.'))

    def close(self) -> None:
        """Gives the connection back, or closes it when the answer was not read to its end. May be called twice."""
        self._watcher.remove(self)
        self._detach()

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float, *,
              is_fresh: bool) -> None:
        connection = self._replica.acquire(is_fresh=is_fresh)
        response = connection.response
        started_s = time.monotonic()
        with self._lock:
            self._connection = connection
            self._socket = connection.sock
        try:
            if self._cause is not None:  # the client left while we connected
                raise self._cause
            self._deadline_s = started_s + timeout_s
            connection.send(method, self._replica.url.base_path + path, body, headers)
            while not response.has_head:
                self._early = connection.receive()
            self.status, self.headers = response.status, response.headers
        except (OSError, NotHttpError) as error:
            is_stale = (connection.is_reused and isinstance(error, ConnectionError) and response.is_silent
                        and time.monotonic() - started_s < STALE_WITHIN_S)
            self._detach()
            if self._cause is None and is_stale:
                raise StaleConnectionError from error
            raise self._reason(error) from error
        finally:
            self._deadline_s = None

    def _reason(self, error: Exception | None = None) -> errors.ApiError:
        if self._cause is not None:
            return self._cause
        if isinstance(error, NotHttpError):
            return errors.BadGatewayError('The backend of this model gave an answer that is not HTTP.')
        return errors.BackendLostError('The backend of this model broke off its answer.')

    def _detach(self) -> None:
        with self._lock:  # from here on an abort finds no socket: it may belong to the next request already
            connection, self._connection = self._connection, None
            self._socket = None
        if connection is None:
            return
        self._replica.release(connection, is_reusable=self._cause is None and connection.response.is_reusable)


class StaleConnectionError(Exception):
    """The backend closed an idle connection at the moment when it was used again."""


class Watcher:
    """Looks after every exchange under way, on a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: set[Exchange] = set()
        self._has_work = threading.Event()
        self._end: errors.ApiError | None = None
        threading.Thread(target=self._run, name='watcher', daemon=True).start()

    def add(self, exchange: Exchange) -> None:
        """Looks after an exchange from now on."""
        with self._lock:
            self._watched.add(exchange)
            if not self._has_work.is_set():
                self._has_work.set()
        if self._end is not None:
            exchange.abort(self._end)

    def remove(self, exchange: Exchange) -> None:
        """Forgets an exchange; one that is not there is no mistake."""
        with self._lock:
            self._watched.discard(exchange)

    def end_all(self) -> None:
        """Aborts every exchange, those to come included: the process ends."""
        self._end = errors.ShuttingDownError('The server is shutting down. Please try again shortly.', retry_after_s=5)
        for exchange in self._snapshot():
            exchange.abort(self._end)

    def _snapshot(self) -> list[Exchange]:
        with self._lock:
            if not self._watched:
                self._has_work.clear()
            return list(self._watched)

    def _run(self) -> None:
        while True:
            self._has_work.wait()
            now_s = time.monotonic()
            for exchange in self._snapshot():
                exchange.check(now_s)
            time.sleep(WATCH_INTERVAL_S)
