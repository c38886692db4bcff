"""A stub behind Flask's test client, and as a process."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import flask.testing
import pytest

from sandle import app as http
from sandle import endpoints
from sandle.catalog import CatalogEntry
from sandle.sampling_request import CompletionLimits
from stub_engine import StubEngine, StubOptions

SCRIPT = Path(__file__).parents[1] / 'serve-backend-stub.py'


@pytest.fixture
def make_engine() -> Callable[..., StubEngine]:
    """Returns a function that makes an engine offering `stub`, with the options given."""
    return lambda **options: StubEngine([CatalogEntry('stub', 'a test model', 'tests')], StubOptions(**options))


@pytest.fixture
def make_client(make_engine: Callable[..., StubEngine]) -> Callable[..., flask.testing.FlaskClient]:
    """Returns a function that makes a test client of a whole backend."""

    def make(**options: object) -> flask.testing.FlaskClient:
        lifecycle = http.Lifecycle()
        app = http.create_app('stub', lifecycle)
        endpoints.add_routes(app, make_engine(**options), lifecycle, CompletionLimits())
        return app.test_client()

    return make


@pytest.fixture(scope='module')
def serve() -> Callable[..., contextlib.AbstractContextManager[tuple[str, subprocess.Popen[str]]]]:
    """Returns a context manager that runs the script with arguments and gives its URL and process."""

    @contextlib.contextmanager
    def run(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
        command = [sys.executable, str(SCRIPT), '--port', '0', *arguments]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd='/') as process:
            assert process.stderr is not None
            lines = []
            try:
                for line in process.stderr:
                    lines.append(line)
                    if match := re.search(r'listening on (http://\S+)', line):
                        yield match[1], process
                        break
                else:
                    raise AssertionError('the stub did not start: ' + ''.join(lines))
            finally:
                process.kill()
                process.communicate()

    return run
