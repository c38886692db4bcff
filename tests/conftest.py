"""A stub and a wrapper in front of it, as processes; for tests that leave them as they were, once for all."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path

import pytest

from tests.end_to_end.rig import KEY, STUB, WRAPPER, Client, Server, serve, wait_for
from tests.end_to_end.web_server import PROGRAM, Nginx, run_nginx

LOAD_TIMEOUT_S = 60.0
ONE_THREAD = {'OMP_NUM_THREADS': '1'}  # on a model as small as sandle-tiny, more only wait for each other
WITH_PROCESSES = [Path(__file__).parent / name for name in ('clients', 'end_to_end', 'examples', 'faults', 'guides')]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what talks to these processes."""
    for item in items:
        if any(folder in item.path.parents for folder in WITH_PROCESSES):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope='session')
def stub() -> Iterator[Server]:
    """A stub with fault controls, offering `stub` and `org/name`."""
    with serve(STUB, '--faults', '--model', 'stub', '--model', 'org/name') as server:
        yield server


@pytest.fixture(scope='session')
def wrapper(stub: Server) -> Iterator[Server]:
    """A wrapper in front of the stub, with the default options."""
    with serve(WRAPPER, '--backend-stub', stub.url, '--auth-token', KEY) as server:
        yield server


@pytest.fixture(scope='session')
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wrapper of `tiny_stack` keeps its keys in."""
    return tmp_path_factory.mktemp('state')


@pytest.fixture(scope='session')
def tiny_backend() -> Iterator[Server]:
    """A backend-hf with `sandle-tiny`."""
    with serve('backend-hf/serve-backend-hf.py', '--single-model', 'sandle-tiny', '--dtype', 'float32',
               environment=ONE_THREAD) as server:
        yield server


@pytest.fixture(scope='session')
def tiny_stack(tiny_backend: Server, state_dir: Path) -> Iterator[Server]:
    """A wrapper with `sandle-tiny`, and `finder` for embeddings, and the addresses of old clients."""
    tiny = tiny_backend
    with (serve(STUB, '--model', 'stub', '--embedding-model', 'finder') as stub,
          serve(WRAPPER, '--backend-hf', tiny.url, '--backend-stub', stub.url, '--auth-token', KEY, '--compat',
                '--state-dir', str(state_dir)) as wrapper,
          closing(Client(tiny.url)) as backend, closing(Client(wrapper.url)) as gateway):
        for each in (backend, gateway):
            wait_for(lambda each=each: each.get('/ready').status_code == 200, LOAD_TIMEOUT_S)  # type: ignore[misc]
        yield wrapper


@pytest.fixture(scope='session')
def client(wrapper: Server) -> Iterator[Client]:
    """A client of the wrapper with a good key."""
    with closing(Client(wrapper.url)) as client:
        yield client


@pytest.fixture(scope='session')
def direct(stub: Server) -> Iterator[Client]:
    """A client of the stub itself."""
    with closing(Client(stub.url, key=None)) as client:
        yield client


@pytest.fixture
def own() -> Iterator[Callable[..., Server]]:
    """Returns a function that starts a server for this test alone, and waits until it is ready."""
    with ExitStack() as stack:
        def start(script: str, *arguments: str, **options: object) -> Server:
            # The options are its own; a type for them would say them twice.
            context: AbstractContextManager[Server] = serve(script, *arguments, **options)  # type: ignore[arg-type]
            server = stack.enter_context(context)
            with closing(Client(server.url)) as client:
                wait_for(lambda: client.get('/ready').status_code == 200)
            return server
        yield start


@pytest.fixture
def client_of() -> Iterator[Callable[..., Client]]:
    """Returns a function that makes a client of a server."""
    with ExitStack() as stack:
        def make(server: Server, key: str | None = KEY) -> Client:
            return stack.enter_context(closing(Client(server.url, key)))
        yield make


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[[int], Nginx]]:
    """Returns a function that starts the page's nginx in front of a wrapper's port."""
    if PROGRAM is None:
        pytest.skip('nginx was not found')
    with ExitStack() as stack:
        def start(upstream_port: int) -> Nginx:
            folder = tmp_path / f'nginx-{len(list(tmp_path.iterdir()))}'
            folder.mkdir()
            return stack.enter_context(run_nginx(folder, upstream_port))
        yield start
