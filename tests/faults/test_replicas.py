"""Two replicas of a model, one of which dies, drains, hangs and comes back, under load and through nginx."""

import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.rig import KEY, STUB, WRAPPER, Client, Server, quickest, serve, wait_for
from tests.end_to_end.web_server import Nginx
from tests.faults.asking import Answer
from tests.faults.figures import Figures
from tests.faults.load import load

Own = Callable[..., Server]
ClientOf = Callable[..., Client]
StartNginx = Callable[[int], Nginx]

PACE = '--num-tokens', '20', '--token-delay-s', '0.01'
USERS = [{'prompt': 'Hello', 'max_tokens': 20, 'stream': is_stream} for is_stream in (False, True) for _ in range(8)]


@pytest.fixture
def replicas(own: Own) -> list[Server]:
    """Two replicas, each on an address of its own."""
    return [own(STUB, *PACE) for _ in range(2)]


def has_begun(answer: Answer) -> bool:
    return b'data: {"id"' in answer.body


def has_failed(answer: Answer) -> bool:
    """Whether an answer is none, be it for a good reason or not."""
    is_stream = answer.headers.get('content-type', '').startswith('text/event-stream')
    return not (answer.is_done if is_stream else answer.status == 200 and answer.is_whole)


def requests_to(client: Client) -> float:
    """Returns how many completions a stub has finished, as its metrics say."""
    return sum(float(line.rpartition(' ')[2]) for line in client.get('/metrics').text.splitlines()
               if line.startswith('sandle_requests_total{'))


@pytest.mark.fault('one of several replicas down')
def test_replica_killed_under_load_and_started_again(own: Own, client_of: ClientOf, nginx: StartNginx,
                                                     replicas: list[Server], figures: Figures) -> None:
    first, second = replicas
    wrapper = own(WRAPPER, '--backend', first.url, '--backend', second.url, '-t', KEY)
    front = nginx(wrapper.port)
    with load(front.url, USERS) as answers:
        wait_for(lambda: len(answers) > 50, 30.0)
        assert all(requests_to(client_of(replica, None)) for replica in replicas)  # both were at work
        first.stop(signal.SIGKILL)
        killed = len(answers)
        wait_for(lambda: len(answers) > killed + 50, 30.0)
        with serve(STUB, *PACE, port=first.port) as again:
            client = client_of(again, None)
            seconds = wait_for(lambda: requests_to(client) > 0, 20.0)
            before = len(answers)
            wait_for(lambda: len(answers) > before + 50, 30.0)
    failed = [answer for answer in answers if has_failed(answer)]
    begun = [answer for answer in failed if has_begun(answer)]
    assert all(answer.error_code == 'backend_lost' for answer in begun)
    figures.exactly(f'kill -9 of one of two, of {len(answers)} answers: errors but of streams that had begun',
                    len(failed) - len(begun), 0)
    figures.below('it has work again after its start', seconds, 5.0)


@pytest.mark.fault('one of several replicas down')
def test_replica_that_drains_loses_nothing(own: Own, nginx: StartNginx, replicas: list[Server],
                                           figures: Figures) -> None:
    first, second = replicas
    wrapper = own(WRAPPER, '--backend', first.url, '--backend', second.url, '-t', KEY)
    with load(nginx(wrapper.port).url, USERS) as answers:
        wait_for(lambda: len(answers) > 50, 30.0)
        assert first.stop(signal.SIGTERM) == 0
        ended = len(answers)
        wait_for(lambda: len(answers) > ended + 50, 30.0)
    figures.exactly(f'SIGTERM to one of two: errors, of {len(answers)} answers',
                    sum(map(has_failed, answers)), 0)


@pytest.mark.fault('one of several replicas down')
def test_replica_that_hangs_is_passed_by(own: Own, client_of: ClientOf, nginx: StartNginx, replicas: list[Server],
                                         figures: Figures) -> None:
    """A request that it holds already ends in a 504 at the limit: it may just be long, and is not sent again."""
    first, second = replicas
    wrapper = own(WRAPPER, '--backend', first.url, '--backend', second.url, '-t', KEY)
    client = client_of(nginx(wrapper.port))
    first.process.send_signal(signal.SIGSTOP)
    try:
        for path in ('/v1/models', '/v1/models/stub', '/ready'):
            figures.below(f'{path} while one of two hangs', quickest(partial(client.get, path)), 0.3)
        wait_for(lambda: f'{first.url} cannot be reached' in wrapper.output, 20.0)
        for path in ('/v1/models', '/ready'):
            assert quickest(partial(client.get, path)) < 0.3
        for _ in range(5):
            assert client.complete().status_code == 200
    finally:
        first.process.send_signal(signal.SIGCONT)
    seconds = wait_for(lambda: requests_after(client, client_of(first, None)) > 0, 10.0)
    figures.below('and has work again after it goes on', seconds, 5.0)


def requests_after(client: Client, replica: Client) -> float:
    """Asks for a completion; returns how many a replica has finished."""
    assert client.complete().status_code == 200
    return requests_to(replica)


@pytest.mark.fault('one of several replicas down')
def test_every_address_of_one_name(own: Own, client_of: ClientOf, tmp_path: Path,
                                   own_hosts: Callable[[Path], list[str]], figures: Figures) -> None:
    """As with `docker-compose up --scale`: one URL, and an address for each container, which come and go."""
    with socket.create_server(('127.0.0.3', 0)) as free:
        port = free.getsockname()[1]
    hosts = tmp_path / 'hosts'
    hosts.write_text('127.0.0.1 backend.test\n127.0.0.2 backend.test\n')
    first, second = (own(STUB, *PACE, '--host', f'127.0.0.{host}', port=port) for host in (1, 2))
    wrapper = own(WRAPPER, '--backend', f'http://backend.test:{port}', '-t', KEY, through=own_hosts(hosts))
    with load(wrapper.url, USERS) as answers:
        wait_for(lambda: len(answers) > 50, 30.0)
        shares = [requests_to(client_of(replica, None)) for replica in (first, second)]
        assert min(shares) > 0.6 * max(shares)
        third = own(STUB, *PACE, '--host', '127.0.0.3', port=port)
        hosts.write_text('127.0.0.2 backend.test\n127.0.0.3 backend.test\n')
        seconds = wait_for(lambda: requests_to(client_of(third, None)) > 0, 20.0)
        wait_for(lambda: 'at 127.0.0.1 is no more' in wrapper.output, 20.0)
        assert first.stop(signal.SIGTERM) == 0
        ended = len(answers)
        wait_for(lambda: len(answers) > ended + 50, 30.0)
    figures.below('a new address of its name has work', seconds, 5.0)
    figures.exactly(f'addresses come and go: errors, of {len(answers)} answers',
                    sum(map(has_failed, answers)), 0)
