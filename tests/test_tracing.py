"""Tracing is off until a variable says where to, and then costs nothing; what it needs is told when it is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from sandle import tracing

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize('value', [None, '', ' '])
def test_off_unless_an_endpoint_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    for name in tracing.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    tracing.start('test')
    assert not tracing.is_on() and tracing.begin('a request', None) is None


def test_a_missing_sdk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('OTEL_EXPORTER_OTLP_ENDPOINT', 'http://127.0.0.1:9')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(SystemExit, match='requirements-telemetry'):
        tracing.start('test')


def test_neither_sdk_is_imported_unless_it_is_wanted() -> None:
    """A component runs without them."""
    loaded = subprocess.run(
        [sys.executable, '-c', 'import sys; from sandle import completions, error_reports, tracing; '
         'error_reports.start("x"); tracing.start("x"); print(*sys.modules)'],
        check=True, capture_output=True, text=True, env={'PYTHONPATH': str(ROOT)}).stdout.split()
    assert 'sandle.completions' in loaded
    assert not [name for name in loaded if name.partition('.')[0] in ('opentelemetry', 'sentry_sdk')]
