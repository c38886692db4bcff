"""A backend: a URL, and a replica for every address that its name has.

Names are looked up by a thread for each, every few seconds: so replicas come and go with the addresses, and a request
never waits for a name server. Knows names; nothing of requests.
"""

import logging
import socket
import ssl
import time
from collections.abc import Callable, Sequence

from wrapper_exchange import Watcher
from wrapper_monitor import POLL_INTERVAL_S, POLL_INTERVAL_UNREADY_S, Monitor
from wrapper_replica import Replica, SocketAddress
from wrapper_rounds import Rounds
from wrapper_url import BackendUrl

logger = logging.getLogger(__name__)


def look_up(host: str, port: int) -> Sequence[SocketAddress]:
    """Returns the addresses of a name; may take as long as the name server does. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


class Backend:
    """A URL with its replicas. Used from any thread."""

    def __init__(self, url: BackendUrl, connect_timeout_s: float, watcher: Watcher,
                 resolve: Callable[[str, int], Sequence[SocketAddress]] = look_up) -> None:
        self.url = url
        self._connect_timeout_s = connect_timeout_s
        self._watcher = watcher
        self._resolve = resolve
        self._tls = ssl.create_default_context() if url.scheme == 'https' else None
        self._monitors: dict[SocketAddress, Monitor] = {}  # another one at every change, so that all may read it
        self._names = Rounds(f'addresses of {url}', self._follow, POLL_INTERVAL_UNREADY_S)
        self._on_change: Callable[[], None] = lambda: None
        self._failure = ''

    def start(self, on_change: Callable[[], None]) -> None:
        """Begins to follow the name and its replicas; `on_change` is called whenever something may be different."""
        self._on_change = on_change
        self._names.start()

    def stop(self) -> None:
        """Ends the following."""
        self._names.stop()
        for monitor in self._monitors.values():
            monitor.stop()

    def all_replicas(self) -> list[Monitor]:
        """Returns a replica for every address."""
        return list(self._monitors.values())

    def replicas(self) -> list[Monitor]:
        """Returns the replicas to count with.

        They are those of one IP version as long as one of them can be reached: a name with addresses of both, such as
        localhost, means the same processes twice.
        """
        monitors = self._monitors
        for version in dict.fromkeys(family for family, _ in monitors):
            found = [monitor for (family, _), monitor in monitors.items() if family == version]
            if any(monitor.state.is_reachable for monitor in found):
                return found
        return self.all_replicas()

    def poll_soon(self) -> list[tuple[Rounds, int]]:
        """Has the name and every replica looked at now; returns what may be waited for."""
        following = [self._names, *(monitor.rounds for monitor in self._monitors.values())]
        return [(rounds, rounds.soon()) for rounds in following]

    def wait_for_first_polls(self, end_s: float) -> None:
        """Waits until every replica has been looked at once, or until a moment of the monotonic clock."""
        self._names.wait(1, max(0.0, end_s - time.monotonic()))
        for monitor in self._monitors.values():
            monitor.rounds.wait(1, max(0.0, end_s - time.monotonic()))

    def _follow(self) -> float:
        """Looks the name up once. What was known stays when nothing is found: the replicas' own polls tell the rest."""
        try:
            addresses = dict.fromkeys(self._resolve(self.url.host, self.url.port))
            self._failure = ''
        except OSError as error:
            if str(error) != self._failure:
                self._failure = str(error)
                logger.warning('the addresses of backend %s cannot be found: %s', self.url, error)
            return POLL_INTERVAL_UNREADY_S
        if addresses.keys() != self._monitors.keys():
            self._change(list(addresses))
        return POLL_INTERVAL_S

    def _change(self, addresses: Sequence[SocketAddress]) -> None:
        before = self._monitors
        # What a replica offers is not known at first: the same as the others of its name, it is taken for.
        models = next((monitor.state.models for monitor in before.values() if monitor.state.is_known), {})
        new = {address: Monitor(Replica(self.url, address, self._connect_timeout_s, self._tls), self._watcher, models,
                                self._on_change, self._names.soon)
               for address in addresses if address not in before}
        self._monitors = {address: before.get(address) or new[address] for address in addresses}
        for monitor in new.values():
            monitor.rounds.start()
        for address in before.keys() - self._monitors.keys():
            logger.info('backend %s is no more', before[address].replica)
            before[address].stop()
        self._on_change()
