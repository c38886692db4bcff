"""The checks say what they found, good or bad."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import checks
from bench.checks import Place, longest_gap, metrics, run_checks
from bench.load import LoadError
from bench.servers import ROOT, Running, ServerKind, serve
from tests.end_to_end.rig import Server

MODEL = Path('some-model')
PLACE = Place('A', 0)
TOKEN_S = 0.01
KIND = ServerKind(
    'stub', Path(sys.executable), lambda launch: [str(ROOT / 'backend-stub/serve-backend-stub.py'), '--port',
                                                  str(launch.port), '--model', str(launch.model)],
    '/ready', extra=('--num-tokens', '100000', '--token-delay-s', str(TOKEN_S)))
DIALECT = KIND.dialect(MODEL, 100)


@pytest.fixture(scope='module')
def running() -> Iterator[Running]:
    """A stub with a set pace."""
    with serve(KIND, MODEL, 4) as server:
        yield server


def test_run_checks_says_good_and_bad(running: Running) -> None:
    found = {check.name.split(' ')[0]: check for check in run_checks(running, DIALECT, PLACE, 4)}
    assert list(found) == ['ready', 'share', 'longest', 'peak']
    assert found['ready'].is_met == (running.ready_s <= 10)
    assert found['peak'].is_met
    assert found['share'].value == '100.0%' and found['share'].is_met is False  # the stub has no model


def test_longest_gap_is_at_least_the_pace_of_the_streams(running: Running) -> None:
    gap_s, first_token_s = asyncio.run(longest_gap(running.url, DIALECT, 'seed', tokens=64))
    assert gap_s >= 0.9 * TOKEN_S and 0 < first_token_s < 5


def test_longest_gap_is_unknown_without_streams(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, 'STREAMS', 0)
    with pytest.raises(LoadError, match='had ended'):
        asyncio.run(longest_gap(running.url, DIALECT, 'seed', tokens=4))


def test_metrics_adds_up_labels(stub: Server) -> None:
    found = metrics(stub.url)
    assert found['sandle_sequences'] == 0 and 'sandle_completion_tokens_total' in found
