"""OTEL_EXPORTER_OTLP_ENDPOINT: one trace a request over wrapper and backend, without anything that users wrote."""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.end_to_end.receiver import Receiver, receive
from tests.end_to_end.rig import KEY, STUB, WRAPPER, Client, Server, wait_for

SECRET = 'a-private-matter'
TRACE = '0af7651916cd43dd8448eb211c80319c'
PARENT = f'00-{TRACE}-b7ad6b7169203331-01'


@dataclass(frozen=True)
class Sent:
    """A span as it was received, with its service and its attributes as a mapping."""

    service: str
    span: Span
    attributes: dict[str, object]


def spans(collector: Receiver) -> list[Sent]:
    """Returns the spans received so far."""
    found = []
    for body in collector.bodies('/v1/traces'):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {each.key: each.value.string_value for each in resource.resource.attributes}['service.name']
            found += [Sent(service, span, {each.key: value_of(each.value) for each in span.attributes})
                      for scope in resource.scope_spans for span in scope.spans]
    return found


def value_of(value: object) -> object:
    kind = value.WhichOneof('value')  # type: ignore[attr-defined]  # an AnyValue, whose module has no types
    return [each.string_value for each in value.array_value.values] if (  # type: ignore[attr-defined]  # as above
        kind == 'array_value') else getattr(value, kind)


@pytest.fixture
def collector() -> Iterator[Receiver]:
    """A collector of traces."""
    with receive() as receiver:
        yield receiver


@pytest.fixture
def traced(own: Callable[..., Server], collector: Receiver) -> tuple[Server, Server]:
    """A stub and a wrapper that send their spans to the collector, twenty times a second."""
    environment = {'OTEL_EXPORTER_OTLP_ENDPOINT': collector.url, 'OTEL_BSP_SCHEDULE_DELAY': '50'}
    stub = own(STUB, '--faults', '--model', 'stub', environment=environment)
    return stub, own(WRAPPER, '--backend-stub', stub.url, '--auth-token', KEY, environment=environment)


def test_a_stream_is_one_trace(traced: tuple[Server, Server], client_of: Callable[..., Client],
                               collector: Receiver) -> None:
    stub, wrapper = traced
    response = client_of(wrapper).post(
        f'/v1/completions?q={SECRET}', headers={
            'traceparent': PARENT, 'tracestate': f'x={SECRET}', 'baggage': f'y={SECRET}', 'x-request-id': 'mine'},
        json={'model': 'stub', 'prompt': f'{SECRET} ' * 3, 'stream': True, 'user': SECRET,
              'stop': f'{SECRET}!'})
    assert response.status_code == 200 and b'[DONE]' in response.content
    wait_for(lambda: len(spans(collector)) == 5, 20)
    by_name = {sent.span.name: sent for sent in spans(collector)}
    assert set(by_name) == {'POST /v1/completions', 'text_completion stub', 'queue', 'prefill', 'decode'}
    assert {sent.span.trace_id.hex() for sent in by_name.values()} == {TRACE}

    outer, inner = by_name['POST /v1/completions'], by_name['text_completion stub']
    assert (outer.service, inner.service) == ('sandle-openai-wrapper', 'sandle-backend-stub')
    assert outer.span.parent_span_id.hex() == 'b7ad6b7169203331' and outer.span.kind == Span.SPAN_KIND_SERVER
    assert inner.span.parent_span_id == outer.span.span_id and inner.span.kind == Span.SPAN_KIND_SERVER
    assert all(by_name[part].span.parent_span_id == inner.span.span_id for part in ('queue', 'prefill', 'decode'))

    first_token = outer.attributes.pop('gen_ai.response.time_to_first_chunk')
    assert isinstance(first_token, float) and 0 < first_token < 30
    tokens = {'gen_ai.usage.input_tokens': inner.attributes['gen_ai.usage.input_tokens'],
              'gen_ai.usage.output_tokens': 3}
    assert outer.attributes == tokens | {
        'http.request.method': 'POST', 'http.route': '/v1/completions', 'http.response.status_code': 200,
        'gen_ai.operation.name': 'text_completion', 'gen_ai.provider.name': 'sandle', 'gen_ai.request.model': 'stub',
        'sandle.request_id': 'mine', 'sandle.replicas_asked': 1}
    assert str(inner.attributes.pop('gen_ai.response.id')) in response.text
    assert inner.attributes == tokens | {
        'gen_ai.operation.name': 'text_completion', 'gen_ai.provider.name': 'sandle', 'gen_ai.request.model': 'stub',
        'gen_ai.response.finish_reasons': ['stop'], 'sandle.request_id': 'mine'}

    [event] = outer.span.events
    assert event.name == 'first_token'
    assert outer.span.start_time_unix_nano < event.time_unix_nano <= outer.span.end_time_unix_nano
    assert outer.span.start_time_unix_nano <= inner.span.start_time_unix_nano < inner.span.end_time_unix_nano
    assert abs(time.time() - outer.span.end_time_unix_nano / 1e9) < 60
    sent = b''.join(body for _, body in collector.posts)
    assert SECRET.encode() not in sent and KEY.encode() not in sent


def test_what_fails_is_an_error_and_what_is_refused_is_none(traced: tuple[Server, Server], collector: Receiver,
                                                            client_of: Callable[..., Client]) -> None:
    _, wrapper = traced
    client = client_of(wrapper)
    assert client.complete('!fault error-after=1', stream=True).content
    assert client.complete('!fault cut-after=1', stream=True).content
    assert client.post('/v1/completions', json={'model': SECRET, 'prompt': ''}).status_code == 404
    assert client.get(f'/{SECRET}', headers={'traceparent': 'nonsense'}).status_code == 404
    assert client.get('/health').status_code == client.get('/metrics').status_code == 200
    wait_for(lambda: len([sent for sent in spans(collector) if sent.service == 'sandle-openai-wrapper']) == 4, 20)
    outer = [sent for sent in spans(collector) if sent.service == 'sandle-openai-wrapper']
    assert [(sent.span.name, sent.span.status.code, sent.attributes.get('error.type')) for sent in outer[1:]] == [
        ('POST /v1/completions', Status.STATUS_CODE_ERROR, 'backend_lost'),
        ('POST /v1/completions', Status.STATUS_CODE_UNSET, None), ('GET unknown', Status.STATUS_CODE_UNSET, None)]
    failed = next(sent for sent in spans(collector) if sent.attributes.get('error.type') == 'internal_error')
    assert failed.service == 'sandle-backend-stub' and failed.span.status.code == Status.STATUS_CODE_ERROR
    assert SECRET.encode() not in b''.join(body for _, body in collector.posts)


def test_the_last_spans_are_sent_at_the_end(own: Callable[..., Server], client_of: Callable[..., Client],
                                            collector: Receiver) -> None:
    server = own(STUB, environment={'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT': f'{collector.url}/v1/traces',
                                    'OTEL_BSP_SCHEDULE_DELAY': '3600000', 'OTEL_SERVICE_NAME': 'mine'})
    assert client_of(server).complete().status_code == 200
    assert spans(collector) == []
    assert server.stop(signal.SIGTERM) == 0
    assert {sent.service for sent in spans(collector)} == {'mine'} and len(spans(collector)) == 4


def test_a_collector_that_is_away_holds_nothing_up(own: Callable[..., Server],
                                                   client_of: Callable[..., Client]) -> None:
    server = own(STUB, environment={'OTEL_EXPORTER_OTLP_ENDPOINT': 'http://127.0.0.1:9'})
    for _ in range(20):
        assert client_of(server).complete().elapsed.total_seconds() < 5
    began_s = time.monotonic()
    assert server.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began_s < 10


def test_the_standard_sampler_counts(own: Callable[..., Server], stub: Server, client_of: Callable[..., Client],
                                     collector: Receiver) -> None:
    environment = {'OTEL_EXPORTER_OTLP_ENDPOINT': collector.url, 'OTEL_TRACES_SAMPLER': 'parentbased_always_off'}
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '--auth-token', KEY, environment=environment)
    client = client_of(wrapper)
    assert client.complete().status_code == 200
    assert client.get('/v1/models', headers={'traceparent': PARENT}).status_code == 200
    assert wrapper.stop(signal.SIGTERM) == 0
    assert [sent.span.name for sent in spans(collector)] == ['GET /v1/models']
