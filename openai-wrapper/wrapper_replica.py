"""One replica of a backend: an address, the connections to it, and how many requests are under way there.

Knows sockets; nothing of names, requests or models. No proxies, no redirects and nothing from the environment take
part.
"""

import http.client
import select
import socket
import ssl
import threading
import time
from collections import deque

from sandle import errors
from wrapper_url import BackendUrl

MAX_IDLE_CONNECTIONS = 64
MAX_IDLE_S = 4.0  # shorter than the keep-alive of the servers that we may meet; uvicorn's is 5 s

SocketAddress = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


class CannotConnectError(errors.BadGatewayError):
    """No connection came about: nothing was sent, so another replica may be tried."""


class Connection(http.client.HTTPConnection):
    """One connection to a replica. `is_reused`: it has carried a request before."""

    def __init__(self, url: BackendUrl, address: SocketAddress, timeout_s: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(url.host, url.port)  # for the Host header; a certificate must be made out to that name, too
        self._address = address
        self._connect_timeout_s = timeout_s
        self._tls = tls
        self.is_reused = False
        self.idle_since_s = 0.0

    def connect(self) -> None:
        """Connects within the connect timeout. Raises OSError."""
        family, address = self._address
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(self._connect_timeout_s)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_hostname=self.host)
            sock.settimeout(None)  # from here on the watcher ends what takes too long
        except OSError:
            sock.close()
            raise
        self.sock = sock

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
        self._outstanding = 0
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
        return self._outstanding

    def begin(self) -> None:
        """Counts a request in."""
        with self._lock:
            self._outstanding += 1

    def end(self) -> None:
        """Counts a request out."""
        with self._lock:
            self._outstanding -= 1

    def acquire(self, *, is_fresh: bool) -> Connection:
        """Returns a connection, an idle one unless `is_fresh`. Raises CannotConnectError within the timeout."""
        connection = None if is_fresh else self._take_idle()
        if connection is None:
            connection = Connection(self.url, self._address, self._connect_timeout_s, self._tls)
            try:
                connection.connect()
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
