"""One replica of a backend: an address, the connections to it, and how many requests are under way there.

Knows sockets; nothing of names, requests or models. No proxies, no redirects and nothing from the environment take
part.
"""

import select
import socket
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping

from sandle import errors
from wrapper_response import ResponseReader, request_bytes
from wrapper_url import BackendUrl

READ_BYTES = 64 * 1024
MAX_IDLE_CONNECTIONS = 64
MAX_IDLE_S = 4.0  # shorter than the keep-alive of the servers that we may meet; uvicorn's is 5 s

SocketAddress = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


class CannotConnectError(errors.BadGatewayError):
    """No connection came about: nothing was sent, so another replica may be tried."""


class Connection:
    """One connection to a replica. `is_reused`: it has carried a request before."""

    def __init__(self, url: BackendUrl, address: SocketAddress, timeout_s: float, tls: ssl.SSLContext | None) -> None:
        """Connects within the timeout. Raises OSError."""
        self._authority = url.authority
        self.response = ResponseReader()
        self.is_reused = False
        self.idle_since_s = 0.0
        family, place = address
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout_s)
            sock.connect(place)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:  # the certificate must be made out to the name
                sock = tls.wrap_socket(sock, server_hostname=url.host)
            sock.settimeout(None)  # from here on the watcher ends what takes too long
        except OSError:
            sock.close()
            raise
        self.sock = sock

    def send(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> None:
        """Sends a request, whose response `response` expects from now on. Raises OSError."""
        self.response.begin()
        # Not compressed: what usage an answer tells is looked for in it.
        own = {'Host': self._authority, 'Accept-Encoding': 'identity'}
        self.sock.sendall(request_bytes(method, target, {**own, **headers}, body))

    def receive(self) -> bytes:
        """Waits for more of the response and returns what it holds of the body. Raises OSError and NotHttpError.

        A connection that the backend has closed before the response was complete is a ConnectionResetError.
        """
        data = self.sock.recv(READ_BYTES)
        if data:
            return self.response.feed(data)
        self.response.end()
        if not self.response.is_complete:
            raise ConnectionResetError('the response was cut short')
        return b''

    def close(self) -> None:
        """Closes it."""
        self.sock.close()

    def is_stale(self) -> bool:
        """Whether the backend has closed this idle connection, or said something unasked."""
        poll = select.poll()  # select.select fails above 1,024 open files
        poll.register(self.sock, select.POLLIN)
        return time.monotonic() - self.idle_since_s > MAX_IDLE_S or bool(poll.poll(0))


class Replica:
    """One address of a backend. Used from any thread."""

    def __init__(self, url: BackendUrl, address: SocketAddress, connect_timeout_s: float,
                 tls: ssl.SSLContext | None) -> None:
        self.url = url
        self._address = address
        self._connect_timeout_s = connect_timeout_s
        self._tls = tls
        self._lock = threading.Lock()
        self._idle: deque[Connection] = deque()
        self._outstanding: Counter[str] = Counter()
        self._is_closed = False

    def __str__(self) -> str:
        return str(self.url) if self.address == self.url.host else f'{self.url} at {self.address}'

    @property
    def address(self) -> str:
        """Its IP address."""
        return str(self._address[1][0])

    @property
    def outstanding(self) -> int:
        """Requests under way; polls are none."""
        return self._outstanding.total()

    def outstanding_for(self, model_id: str) -> int:
        """Returns how many of them are for a model."""
        return self._outstanding[model_id]

    def begin(self, model_id: str) -> None:
        """Counts a request in."""
        with self._lock:
            self._outstanding[model_id] += 1

    def end(self, model_id: str) -> None:
        """Counts a request out."""
        with self._lock:
            self._outstanding[model_id] -= 1

    def acquire(self, *, is_fresh: bool) -> Connection:
        """Returns a connection, an idle one unless `is_fresh`. Raises CannotConnectError within the timeout."""
        connection = None if is_fresh else self._take_idle()
        if connection is None:
            try:
                connection = Connection(self.url, self._address, self._connect_timeout_s, self._tls)
            except OSError as error:
                raise CannotConnectError('The backend of this model cannot be reached.') from error
        return connection

    def release(self, connection: Connection, *, is_reusable: bool) -> None:
        """Takes a connection back; one that is not reusable is closed."""
        connection.is_reused = True
        connection.idle_since_s = time.monotonic()
        with self._lock:
            if is_reusable and not self._is_closed and len(self._idle) < MAX_IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Closes idle connections, and from now on every other when it is given back."""
        with self._lock:
            self._is_closed = True
            idle = list(self._idle)
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _take_idle(self) -> Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not connection.is_stale():
                return connection
            connection.close()
