"""Each backend as a process, once for all tests of the contract."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.end_to_end.backends import BACKENDS, NEEDS_LLAMA_CPP, Api
from tests.end_to_end.rig import Client, serve, wait_for


@pytest.fixture(scope='session', params=[
    pytest.param(kind, marks=NEEDS_LLAMA_CPP if kind == 'llama' else ()) for kind in BACKENDS])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    """Each backend as a process."""
    with serve(BACKENDS[request.param][0]) as server, closing(Client(server.url, key=None)) as client:
        wait_for(lambda: client.get('/ready').status_code == 200, 60)
        yield Api(client, request.param)
