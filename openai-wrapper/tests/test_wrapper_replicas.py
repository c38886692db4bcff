"""Several replicas of one model: which of them is asked, and how they come and go with the addresses of a name."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.end_to_end.scripted_backend import AUTHORIZED, Answer, Received, Upstream, completion, wait_for
from wrapper_backend import look_up
from wrapper_monitor import Fitness
from wrapper_registry import Takers
from wrapper_replica import CannotConnectError, Replica, SocketAddress
from wrapper_url import parse_url

if TYPE_CHECKING:
    from tests.conftest import Wrapper

MakeWrapper: TypeAlias = 'Callable[..., Wrapper]'
MakeUpstream = Callable[..., Upstream]


class Name:
    """A name whose addresses a test changes."""

    def __init__(self, *hosts: str) -> None:
        self.hosts: tuple[str, ...] = hosts

    def __call__(self, host: str, port: int) -> list[SocketAddress]:
        if not self.hosts:
            raise socket.gaierror(-2, 'Name or service not known')
        return [address for each in self.hosts for address in look_up(each, port)]


class Holding:
    """A script that answers completions when it may; counts those that wait."""

    def __init__(self) -> None:
        self.waiting = 0
        self.may_answer = threading.Event()

    def __call__(self, sock: socket.socket, request: Received) -> None:
        self.waiting += 1
        assert self.may_answer.wait(10)
        Answer('{}')(sock, request)


@pytest.fixture
def twins(make_upstream: MakeUpstream) -> tuple[Upstream, Upstream]:
    """Two backends that answer on one port of two addresses."""
    first = make_upstream('127.0.0.1')
    second = make_upstream('127.0.0.2', first.port)
    for upstream in (first, second):
        upstream.on_completion(Answer('{}'))
    return first, second


def ask(wrapper: 'Wrapper', **fields: object) -> int:
    return wrapper.app.test_client().post('/v1/completions', **completion(**fields)).status_code


@contextlib.contextmanager
def asking(wrapper: 'Wrapper', count: int) -> Iterator[None]:
    """Has so many requests under way, each of which must succeed."""
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(ask(wrapper))) for _ in range(count)]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(10)
    assert statuses == [200] * count


def all_ready(wrapper: 'Wrapper', count: int) -> bool:
    return wrapper.registry.takers('m').count == count


def test_address_where_nobody_listens_cannot_be_connected_to() -> None:
    replica = Replica(parse_url('http://127.0.0.1:9'), (socket.AF_INET, ('127.0.0.1', 9)), 1.0, None)
    with pytest.raises(CannotConnectError):
        replica.acquire(is_fresh=False)
    assert replica.outstanding == 0


def test_every_address_of_a_name_gets_its_share(make_wrapper: MakeWrapper, twins: tuple[Upstream, Upstream]) -> None:
    """As with `docker-compose up --scale`, where the name server returns an address for each container."""
    wrapper = make_wrapper(f'http://backend:{twins[0].port}', resolve=Name('127.0.0.1', '127.0.0.2'), max_running=20)
    assert wait_for(lambda: all_ready(wrapper, 2))
    scripts = Holding(), Holding()
    for upstream, script in zip(twins, scripts):
        upstream.on_completion(script)
    with asking(wrapper, 10):
        assert wait_for(lambda: [script.waiting for script in scripts] == [5, 5])
        for script in scripts:
            script.may_answer.set()


def test_least_busy_replica_is_asked(make_wrapper: MakeWrapper, make_upstream: MakeUpstream) -> None:
    first, second = make_upstream(), make_upstream()
    holding = Holding()
    first.on_completion(holding)
    second.on_completion(Answer('{}'))
    wrapper = make_wrapper(first.url, second.url)
    assert wait_for(lambda: all_ready(wrapper, 2))
    with asking(wrapper, 1):
        assert wait_for(lambda: holding.waiting == 1)
        for _ in range(5):
            assert ask(wrapper) == 200
        holding.may_answer.set()
    assert len(second.completions()) == 5 and len(first.completions()) == 1


def test_addresses_come_and_go(make_wrapper: MakeWrapper, twins: tuple[Upstream, Upstream]) -> None:
    name = Name('127.0.0.1')
    wrapper = make_wrapper(f'http://backend:{twins[0].port}', resolve=name)
    assert ask(wrapper) == 200 and wrapper.registry.takers('m').count == 1
    name.hosts = '127.0.0.2', '127.0.0.1'
    wrapper.registry.poll_soon()
    assert wait_for(lambda: all_ready(wrapper, 2))
    name.hosts = '127.0.0.2',
    wrapper.registry.poll_soon()
    assert wait_for(lambda: all_ready(wrapper, 1))
    assert ask(wrapper) == 200 and len(twins[1].completions()) == 1


def test_running_request_outlives_its_address(make_wrapper: MakeWrapper, twins: tuple[Upstream, Upstream]) -> None:
    name = Name('127.0.0.1')
    wrapper = make_wrapper(f'http://backend:{twins[0].port}', resolve=name)
    holding = Holding()
    twins[0].on_completion(holding)
    with asking(wrapper, 1):
        assert wait_for(lambda: holding.waiting == 1)
        name.hosts = '127.0.0.2',
        wrapper.registry.poll_soon()
        assert wait_for(lambda: bool(twins[1].received) and all_ready(wrapper, 1))
        holding.may_answer.set()


def test_name_that_is_lost_keeps_its_replicas(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    """A name server that is away must take nothing with it."""
    upstream.on_completion(Answer('{}'))
    name = Name('127.0.0.1')
    wrapper = make_wrapper(f'http://backend:{upstream.port}', resolve=name)
    assert ask(wrapper) == 200
    name.hosts = ()
    for rounds, count in wrapper.registry._backends[0].poll_soon():
        rounds.wait(count + 1, 5)
    assert ask(wrapper) == 200


def test_models_of_a_replica_that_has_not_answered_yet_are_its_siblings(make_wrapper: MakeWrapper,
                                                                        make_upstream: MakeUpstream) -> None:
    """A container that comes back on another address: the model is not unknown for the time until its first poll."""
    before = make_upstream('127.0.0.1')
    after = make_upstream('127.0.0.2', before.port)
    after.scripts['/v1/models'] = after.wait_until_client_leaves
    name = Name('127.0.0.1')
    wrapper = make_wrapper(f'http://backend:{before.port}', resolve=name)
    assert wait_for(lambda: all_ready(wrapper, 1))
    name.hosts = '127.0.0.2',
    wrapper.registry.poll_soon()
    assert wait_for(lambda: bool(after.received))
    listing = wrapper.client.get('/v1/models', headers=AUTHORIZED).get_json()
    assert [(model['id'], model['status']) for model in listing['data']] == [('m', 'error')]
    after.on_completion(Answer('{}'))
    assert ask(wrapper) == 200


def test_both_ip_versions_of_a_process_count_once(make_wrapper: MakeWrapper, make_upstream: MakeUpstream) -> None:
    """As of localhost."""
    try:
        six = make_upstream('::1')
    except OSError:
        pytest.skip('this machine has no IPv6')  # nothing to confuse then
    four = make_upstream('127.0.0.1', six.port)
    for upstream in (six, four):
        upstream.on_completion(Answer('{}'))
    wrapper = make_wrapper(f'http://localhost:{six.port}', resolve=Name('::1', '127.0.0.1'))
    assert ask(wrapper) == 200
    assert wait_for(lambda: bool(four.received))
    assert wrapper.registry.takers('m').count == 1
    six.close()
    assert ask(wrapper) == 200  # by the other way
    assert len(four.completions()) == 1


def test_name_whose_first_ip_version_is_not_listened_to(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    upstream.on_completion(Answer('{}'))
    wrapper = make_wrapper(f'http://localhost:{upstream.port}', resolve=Name('::1', '127.0.0.1'))
    assert ask(wrapper) == 200
    assert wrapper.registry.takers('m').count == 1


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The certificate of backend.test, which is trusted."""
    if shutil.which('openssl') is None:
        pytest.skip('openssl was not found, which makes the certificate')
    made, key = tmp_path / 'certificate.pem', tmp_path / 'key.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc',
                    '-keyout', key, '-out', made, '-subj', '/CN=x', '-addext', 'subjectAltName=DNS:backend.test'],
                   check=True, capture_output=True)
    monkeypatch.setenv('SSL_CERT_FILE', str(made))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context


def test_certificate_is_the_names_whatever_the_address(make_wrapper: MakeWrapper, make_upstream: MakeUpstream,
                                                       certificate: ssl.SSLContext) -> None:
    first = make_upstream('127.0.0.1', tls=certificate)
    make_upstream('127.0.0.2', first.port, tls=certificate)
    addresses = Name('127.0.0.1', '127.0.0.2')
    good = make_wrapper(f'https://backend.test:{first.port}', resolve=addresses)
    assert wait_for(lambda: all_ready(good, 2))
    bad = make_wrapper(f'https://other.test:{first.port}', resolve=addresses)
    assert ask(bad) == 502 and all_ready(bad, 0)
    assert not first.completions()


def test_replica_that_has_failed_is_asked_last_until_a_good_poll(make_wrapper: MakeWrapper,
                                                                 make_upstream: MakeUpstream) -> None:
    first, second = make_upstream(), make_upstream()
    wrapper = make_wrapper(first.url, second.url, first_byte_s=0.3)
    assert wait_for(lambda: all_ready(wrapper, 2))
    listing = first.scripts['/v1/models']

    def hang(sock: socket.socket, request: Received) -> None:
        first.scripts['/v1/models'] = Answer('{}', 500)  # from here on polls fail, too
        first.wait_until_client_leaves(sock, request)

    first.on_completion(hang)
    second.on_completion(Answer('{}'))
    assert ask(wrapper) == 504  # never sent a second time: it may just take long
    for _ in range(3):
        assert ask(wrapper) == 200
    assert len(first.completions()) == 1
    first.on_completion(Answer('{}'))
    first.scripts['/v1/models'] = listing
    assert wait_for(lambda: all_ready(wrapper, 2))
    assert ask(wrapper) == 200 and len(first.completions()) == 2


def test_replica_that_has_the_model_in_memory_is_asked_first(make_wrapper: MakeWrapper,
                                                             make_upstream: MakeUpstream) -> None:
    """Else each request might have another model loaded, and the one in use put out."""
    first, second = make_upstream(), make_upstream()
    first.list_models({'id': 'm', 'status': 'available'}, {'id': 'other'})
    for upstream in (first, second):
        upstream.on_completion(Answer('{}'))
    wrapper = make_wrapper(first.url, second.url)
    assert wait_for(lambda: all_ready(wrapper, 1) and len(second.received) >= 2)
    assert ask(wrapper) == 200 and len(second.completions()) == 1
    listing = wrapper.client.get('/v1/models', headers=AUTHORIZED).get_json()
    assert [(model['id'], model['status']) for model in listing['data']] == [('m', 'ready'), ('other', 'ready')]
    second.close()
    assert ask(wrapper) == 200 and len(first.completions()) == 1


@pytest.mark.parametrize('path, answer', [
    ('/ready', Answer('{"status": "draining"}', 503)), ('/v1/models', Answer('{}', 503)),
    ('/v1/models', Answer('{"data": [{"id": "m", "status": "error"}]}'))])
def test_replica_that_cannot_take_requests_gets_none(make_wrapper: MakeWrapper, make_upstream: MakeUpstream, path: str,
                                                     answer: Answer) -> None:
    first, second = make_upstream(), make_upstream()
    wrapper = make_wrapper(first.url, second.url)
    assert wait_for(lambda: all_ready(wrapper, 2))
    second.on_completion(Answer('{}'))
    first.scripts[path] = answer
    wrapper.registry.poll_soon()
    assert wait_for(lambda: all_ready(wrapper, 1))
    for _ in range(3):
        assert ask(wrapper) == 200
    assert first.completions() == []


def test_replica_whose_poll_is_overdue_is_asked_last(make_wrapper: MakeWrapper, make_upstream: MakeUpstream) -> None:
    """One that hangs takes connections: without a sign from it, requests would go there until its poll is given up."""
    first, second = make_upstream(), make_upstream()
    wrapper = make_wrapper(first.url, second.url)
    assert wait_for(lambda: all_ready(wrapper, 2))
    second.on_completion(Answer('{}'))
    first.scripts['/v1/models'] = first.wait_until_client_leaves
    wrapper.registry.poll_soon()
    assert wait_for(lambda: all_ready(wrapper, 1))
    [hanging, _] = wrapper.registry._having('m')
    assert hanging.state.is_reachable and hanging.fitness('m') is Fitness.LAST
    assert ask(wrapper) == 200 and first.completions() == []


def test_requests_at_a_replica_that_hangs_keep_nobody_from_the_other(make_wrapper: MakeWrapper,
                                                                     make_upstream: MakeUpstream) -> None:
    first, second = make_upstream(), make_upstream()
    wrapper = make_wrapper(first.url, second.url, max_running=2)
    assert wait_for(lambda: all_ready(wrapper, 2))
    hanging, working = Holding(), Holding()
    first.on_completion(hanging)
    second.on_completion(working)
    with asking(wrapper, 4):
        assert wait_for(lambda: (hanging.waiting, working.waiting) == (2, 2))
        working.may_answer.set()
        first.scripts['/ready'] = Answer('{}', 503)
        wrapper.registry.poll_soon()
        assert wait_for(lambda: wrapper.registry.takers('m') == Takers(1, 2))
        for _ in range(3):
            assert ask(wrapper) == 200
        hanging.may_answer.set()


def test_change_is_told(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    wrapper = make_wrapper(upstream.url)
    assert wait_for(lambda: all_ready(wrapper, 1))
    counts: list[int] = []
    wrapper.registry.on_change(lambda: counts.append(wrapper.registry.takers('m').count))
    upstream.scripts['/ready'] = Answer('{}', 503)
    wrapper.registry.poll_soon()
    assert wait_for(lambda: bool(counts) and counts[-1] == 0)
