"""Spans of OpenTelemetry: that of a request, and of the parts that it falls into.

The one module that needs OpenTelemetry to be imported; `sandle.tracing` does so when it is wanted. Knows the SDK;
nothing of what is traced.
"""

import time
from collections.abc import Mapping, Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sandle.tracing import TRACEPARENT

Attributes = Mapping[str, str | int | float | Sequence[str] | None]

NS = 10 ** 9


def make_tracer(service: str | None, timeout_s: float | None) -> trace.Tracer:
    """Returns a tracer that sends by OTLP over HTTP, to where the standard variables say; None leaves to them, too.

    What is left is sent when the process ends.
    """
    provider = TracerProvider(resource=Resource.create({} if service is None else {'service.name': service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=timeout_s)))
    return provider.get_tracer('sandle')


class Span:
    """A request under way. Times are seconds since it began. For one thread at a time."""

    def __init__(self, tracer: trace.Tracer, name: str, traceparent: str | None) -> None:
        """`traceparent`: W3C's header, of the span within which this one is; one that is malformed counts as none."""
        parent = TraceContextTextMapPropagator().extract({} if traceparent is None else {TRACEPARENT: traceparent})
        self._tracer = tracer
        self._began_ns = time.time_ns()
        self._span = tracer.start_span(name, parent, trace.SpanKind.SERVER, start_time=self._began_ns)
        self._context = trace.set_span_in_context(self._span)

    def headers(self) -> dict[str, str]:
        """Returns the headers by which the next component's span becomes a part of this one."""
        headers: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(headers, self._context)
        return headers

    def event(self, name: str, at_s: float) -> None:
        """Notes that something happened."""
        self._span.add_event(name, timestamp=self._at(at_s))

    def part(self, name: str, from_s: float, to_s: float) -> None:
        """Adds a span for a part of the time."""
        part = self._tracer.start_span(name, self._context, start_time=self._at(from_s))
        part.end(self._at(max(from_s, to_s)))

    def end(self, seconds: float, attributes: Attributes, error: str | None) -> None:
        """Ends the span; `error` is the code of what made the request fail. Attributes that are None are left out."""
        self._span.set_attributes({name: value for name, value in attributes.items() if value is not None})
        if error is not None:
            self._span.set_attribute('error.type', error)
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end(self._at(seconds))

    def _at(self, seconds: float) -> int:
        return self._began_ns + int(seconds * NS)
