"""Traces by OpenTelemetry, when OTEL_EXPORTER_OTLP_ENDPOINT says where to: a span of every request in every component.

Like logging this is the process's own: `start` turns it on, and until then `begin` returns None. The SDK reads its
standard OTEL_… variables. Nothing that a client wrote becomes an attribute; names are those of OpenTelemetry's semantic
conventions for HTTP and for generative AI.
"""

import importlib.util
import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from sandle.spans import Span

logger = logging.getLogger(__name__)

ENDPOINTS = ('OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT')
SERVICE_NAME = 'OTEL_SERVICE_NAME'
TIMEOUT = 'OTEL_EXPORTER_OTLP_TIMEOUT'
EXPORT_TIMEOUT_S = 3.0  # the SDK's own 10 s would hold up the end of a process whose collector is away
TRACEPARENT = 'traceparent'  # taken alone: tracestate and baggage are a client's own words

_tracer: 'Tracer | None' = None


def start(component: str) -> None:
    """Begins to trace, if a variable says where to. Raises SystemExit if the SDK is not installed."""
    endpoint = next((value for name in ENDPOINTS if (value := os.environ.get(name, '').strip())), '')
    if not endpoint:
        return
    if importlib.util.find_spec('opentelemetry') is None:
        raise SystemExit(f'{ENDPOINTS[0]} is set, but OpenTelemetry is not installed: '
                         'pip install -r sandle/requirements-telemetry.txt')
    from sandle.spans import make_tracer

    global _tracer  # as logging's root: there is one in the process
    _tracer = make_tracer(None if SERVICE_NAME in os.environ else f'sandle-{component}',
                          None if TIMEOUT in os.environ else EXPORT_TIMEOUT_S)
    logger.info('traces are sent to %s', endpoint.rpartition('@')[2])


def is_on() -> bool:
    """Whether anything is traced."""
    return _tracer is not None


def begin(name: str, traceparent: str | None) -> 'Span | None':
    """Begins the span of a request, within the span that its header names; None if nothing is traced."""
    if _tracer is None:
        return None
    from sandle.spans import Span

    return Span(_tracer, name, traceparent)
