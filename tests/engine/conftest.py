"""Engines that end with the test."""

from collections.abc import Iterator

import pytest

from tests.engine.serving import Started


@pytest.fixture
def start() -> Iterator[Started]:
    """Starts engines that end with the test."""
    started = Started()
    yield started
    for engine in started.engines:
        engine.shutdown()
