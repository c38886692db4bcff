"""The whole way of a request, nginx in front, and a place for figures."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.rig import KEY, STUB, WRAPPER, Client, Server, serve, wait_for
from tests.end_to_end.web_server import PROGRAM, Nginx, run_nginx
from tests.faults.figures import FAULTS, Figure, Figures

HERE = Path(__file__).parent
FAULT, FIGURE = 'fault', 'figure'  # names of what a report carries


@dataclass(frozen=True, slots=True)
class Stack:
    """Processes that stand in a row; `front` is nginx's address."""

    stub: Server
    wrapper: Server
    nginx: Nginx
    client: Client
    direct: Client

    @property
    def front(self) -> str:
        """The address that users have."""
        return self.nginx.url


@pytest.fixture(scope='session')
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for tests that leave it as it was. Its stub's context is long, and its wrapper counts usage."""
    if PROGRAM is None:
        pytest.skip('nginx was not found')
    with ExitStack() as within:
        stub = within.enter_context(serve(STUB, '--faults', '--model', 'stub', '--context-length', '1000000',
                                          '--threads', '700', '--max-running', '640'))
        wrapper = within.enter_context(serve(WRAPPER, '--backend', stub.url, '-t', KEY,
                                             '--state-dir', str(tmp_path_factory.mktemp('state'))))
        nginx = within.enter_context(run_nginx(tmp_path_factory.mktemp('nginx'), wrapper.port))
        client = within.enter_context(closing(Client(nginx.url)))
        direct = within.enter_context(closing(Client(stub.url, key=None)))
        wait_for(lambda: client.get('/ready').status_code == 200)
        yield Stack(stub, wrapper, nginx, client, direct)


@pytest.fixture
def own_hosts() -> Callable[[Path], list[str]]:
    """Returns a function that gives the command by which a process has a file in place of /etc/hosts."""
    if subprocess.run(['unshare', '--mount', 'true'], capture_output=True, check=False).returncode:
        pytest.skip('a name cannot be given other addresses: that needs a mount namespace, as root')
    return lambda hosts: ['unshare', '--mount', 'sh', '-c', f'mount --bind {hosts} /etc/hosts && exec "$@"', 'sh']


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Takes down what the test at hand measures."""
    def keep(figure: Figure) -> None:
        request.node.user_properties.append((FIGURE, figure))
    return Figures(keep)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets every report of these tests carry the name of its fault, and marks those that take figures.

    The hook sees the items of every folder.
    """
    for item in items:
        if HERE in item.path.parents:
            assert isinstance(item, pytest.Function)
            if 'figures' in item.fixturenames:
                item.add_marker(pytest.mark.alone)
            marker = item.get_closest_marker('fault')
            assert marker is not None and marker.args[0] in FAULTS, f'{item.nodeid} shows no fault that is known'
            item.user_properties.append((FAULT, marker.args[0]))
