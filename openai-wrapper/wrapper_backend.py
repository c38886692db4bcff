"""A backend's address and the connections to it. Knows sockets and addresses; nothing of requests or models.

Names are resolved by the registry's thread only, every poll: so a backend that moves is followed within seconds, and
a request never waits for a name server. No proxies, no redirects and nothing from the environment take part.
"""

import http.client
import itertools
import select
import socket
import ssl
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from sandle import errors

MAX_IDLE_CONNECTIONS = 64
MAX_IDLE_S = 4.0  # shorter than the keep-alive of the servers that we may meet; uvicorn's is 5 s

SocketAddress = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


class CannotConnectError(errors.BadGatewayError):
    """No connection came about: nothing was sent, so another backend may be tried."""


@dataclass(frozen=True, slots=True)
class BackendUrl:
    """Where a backend listens; `base_path` has no slash at its end."""

    scheme: str
    host: str
    port: int
    base_path: str

    def __str__(self) -> str:
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'{self.scheme}://{host}:{self.port}{self.base_path}'


def parse_url(text: str) -> BackendUrl:
    """Reads a backend's URL, with or without OpenAI's `/v1` at its end. Raises ValueError that says what is wrong."""
    parts = urllib.parse.urlsplit(text.strip())
    if parts.scheme not in ('http', 'https') or not parts.hostname:
        raise ValueError(f'{text!r} is not a URL like http://host:8000')
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f'the URL of {parts.hostname} must not hold a user, a query or a fragment')
    port = parts.port or (443 if parts.scheme == 'https' else 80)
    return BackendUrl(parts.scheme, parts.hostname, port, parts.path.rstrip('/').removesuffix('/v1'))


class Connection(http.client.HTTPConnection):
    """One connection to one of a backend's addresses. `is_reused`: it has carried a request before."""

    def __init__(self, url: BackendUrl, addresses: Sequence[SocketAddress], timeout_s: float,
                 tls: ssl.SSLContext | None) -> None:
        super().__init__(url.host, url.port)
        self._addresses = addresses
        self._connect_timeout_s = timeout_s
        self._tls = tls
        self.is_reused = False
        self.idle_since_s = 0.0

    def connect(self) -> None:
        """Connects to the first address that answers, all of them within the connect timeout. Raises OSError."""
        deadline_s = time.monotonic() + self._connect_timeout_s
        failure: OSError = OSError('the name of the backend has no address')
        for family, address in self._addresses:
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(max(0.001, deadline_s - time.monotonic()))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    sock = self._tls.wrap_socket(sock, server_hostname=self.host)
                sock.settimeout(None)  # from here on the watcher ends what takes too long
                self.sock = sock
                return
            except OSError as error:
                sock.close()
                failure = error
        raise failure

    def is_stale(self) -> bool:
        """Whether the backend has closed this idle connection, or said something unasked."""
        poll = select.poll()  # select.select fails above 1,024 open files
        poll.register(self.sock, select.POLLIN)
        return time.monotonic() - self.idle_since_s > MAX_IDLE_S or bool(poll.poll(0))


class Backend:
    """A backend and its connections. Used from any thread."""

    def __init__(self, url: BackendUrl, connect_timeout_s: float) -> None:
        self.url = url
        self._connect_timeout_s = connect_timeout_s
        self._tls = ssl.create_default_context() if url.scheme == 'https' else None
        self._addresses: tuple[SocketAddress, ...] = ()
        self._turns = itertools.count()
        self._lock = threading.Lock()
        self._idle: deque[Connection] = deque()
        self._outstanding = 0
        self._is_closed = False

    @property
    def outstanding(self) -> int:
        """Requests under way."""
        return self._outstanding

    def resolve(self) -> None:
        """Looks the backend's name up; may take as long as the name server does. Raises OSError."""
        found = socket.getaddrinfo(self.url.host, self.url.port, type=socket.SOCK_STREAM)
        self._addresses = tuple((family, address) for family, _, _, _, address in found)

    def acquire(self, *, is_fresh: bool) -> Connection:
        """Returns a connection, an idle one unless `is_fresh`. Raises CannotConnectError within the timeout."""
        connection = None if is_fresh else self._take_idle()
        if connection is None:
            addresses = self._addresses
            turn = next(self._turns) % max(1, len(addresses))  # a name may stand for several replicas
            connection = Connection(self.url, addresses[turn:] + addresses[:turn], self._connect_timeout_s, self._tls)
            try:
                connection.connect()
            except OSError as error:
                raise CannotConnectError('The backend of this model cannot be reached.') from error
        with self._lock:
            self._outstanding += 1
        return connection

    def release(self, connection: Connection, *, is_reusable: bool) -> None:
        """Takes a connection back; one that is not reusable is closed."""
        connection.is_reused = True
        connection.idle_since_s = time.monotonic()
        with self._lock:
            self._outstanding -= 1
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
