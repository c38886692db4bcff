"""A wrapper behind Flask's test client, and scripted backends for it."""

import contextlib
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import flask.testing
import pytest

import wrapper_app
from sandle.app import Lifecycle
from tests.end_to_end.scripted_backend import KEY, Upstream
from wrapper_admission import Admission
from wrapper_backend import Backend, look_up
from wrapper_exchange import Watcher
from wrapper_forward import Forwarder, Timeouts
from wrapper_inquiries import Inquiries
from wrapper_keys import Keys, store
from wrapper_limits import Limiter
from wrapper_metrics import Metrics
from wrapper_pools import Bounds
from wrapper_queue import Queue
from wrapper_registry import Registry
from wrapper_replica import SocketAddress
from wrapper_url import parse_url
from wrapper_usage import UsageBook


@dataclass(frozen=True)
class Wrapper:
    """A wrapper and what it is made of."""

    app: flask.Flask
    client: flask.testing.FlaskClient
    registry: Registry
    watcher: Watcher
    lifecycle: Lifecycle
    book: UsageBook
    queue: Queue


@pytest.fixture
def make_upstream() -> Iterator[Callable[..., Upstream]]:
    """Returns a function that starts a backend, on a loopback address and a port of one's choice if need be."""
    with contextlib.ExitStack() as stack:
        def make(host: str = '127.0.0.1', port: int = 0, tls: ssl.SSLContext | None = None) -> Upstream:
            upstream = Upstream(host, port, tls)
            stack.callback(upstream.close)
            return upstream
        yield make


@pytest.fixture
def upstream(make_upstream: Callable[[], Upstream]) -> Upstream:
    """A backend that lists the model `m`."""
    return make_upstream()


@pytest.fixture
def make_wrapper() -> Iterator[Callable[..., Wrapper]]:
    """Returns a function that makes a wrapper in front of backends, given by URL."""
    with contextlib.ExitStack() as stack:
        def make(*urls: str, policy: wrapper_app.Policy = wrapper_app.Policy(), keys: Keys | None = None,
                 allowed: frozenset[str] | None = None, first_byte_s: float = 5.0, idle_s: float = 5.0,
                 max_running: int = 8, max_waiting: int = 4, max_wait_s: float = 5.0, state_dir: Path | None = None,
                 resolve: Callable[[str, int], Sequence[SocketAddress]] = look_up) -> Wrapper:
            watcher = Watcher()
            registry = Registry([Backend(parse_url(url), 1.0, watcher, resolve) for url in urls], allowed)
            lifecycle = Lifecycle()
            book = UsageBook(state_dir)
            limiter = Limiter(book.tokens_today)
            queue = Queue(registry.takers, Bounds(max_running, max_waiting, 100 + max_waiting, max_wait_s))
            registry.on_change(queue.changed)
            inquiries = Inquiries(watcher, limiter, book)
            forwarder = Forwarder(watcher, inquiries, Timeouts(first_byte_s, idle_s))
            app = wrapper_app.create_app(lifecycle, keys or Keys(store([KEY])), registry, forwarder,
                                         Admission(limiter, queue, book), book,
                                         Metrics(lifecycle, registry, queue, book), policy)
            registry.start()
            inquiries.start()
            stack.callback(registry.stop)
            return Wrapper(app, app.test_client(), registry, watcher, lifecycle, book, queue)
        yield make
