"""A stub to load, and the smallest model of the bench, made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import models
from tests.end_to_end.rig import STUB, Server, serve


@pytest.fixture(scope='session')
def stub() -> Iterator[Server]:
    """A stub that goes on answering for as long as it is asked to."""
    with serve(STUB, '--num-tokens', '100000', '--token-delay-s', '0.005') as server:
        yield server


@pytest.fixture(scope='session')
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the shape `tiny`."""
    return models.ensure('tiny', tmp_path_factory.mktemp('models'))
