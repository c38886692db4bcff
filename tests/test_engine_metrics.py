"""GET /metrics: every number of an engine's statistics, as Prometheus's own parser reads it."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandle import app as http
from sandle import endpoints
from sandle.sampling_request import CompletionLimits
from sandle.engine.statistics import EngineStatistics, Histogram
from tests.scripted_engine import ScriptedEngine

STATISTICS = EngineStatistics(
    {'stop': 1, 'length': 2, 'cancelled': 3, 'error': 4, 'rejected': 5}, prompt_tokens=6, prefix_hit_tokens=7,
    completion_tokens=8, waiting=9, running=10, slots=11, steps=12, step_seconds=13.5, model_seconds=14.5,
    first_token_s=Histogram((0.5, 1.0), (1, 2, 3), 15.5), inter_token_s=Histogram((0.25,), (0, 4), 16.5),
    queue_s=Histogram((1.0,), (5, 0), 0.0))


class CountedEngine(ScriptedEngine):
    """Has those statistics."""

    def statistics(self) -> EngineStatistics:
        return STATISTICS


@pytest.fixture
def lifecycle() -> http.Lifecycle:
    return http.Lifecycle()


@pytest.fixture
def client(lifecycle: http.Lifecycle) -> Any:
    app = http.create_app('test', lifecycle)
    endpoints.add_routes(app, CountedEngine(), lifecycle, CompletionLimits())
    return app.test_client()


def samples(text: str) -> dict[tuple[str, str], float]:
    """Returns samples by name and label value."""
    return {(sample.name, ' '.join(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text) for sample in family.samples}


def test_every_number_is_there(client: Any) -> None:
    response = client.get('/metrics')
    assert response.content_type.startswith('text/plain; version=0.0.4')
    shown = samples(response.get_data(as_text=True))
    assert {key: value for key, value in shown.items() if key[0].startswith('sandle_')} == {
        ('sandle_model_ready', 'org/model'): 1,
        ('sandle_requests_total', 'stop'): 1, ('sandle_requests_total', 'length'): 2,
        ('sandle_requests_total', 'cancelled'): 3, ('sandle_requests_total', 'error'): 4,
        ('sandle_requests_total', 'rejected'): 5, ('sandle_prompt_tokens_total', ''): 6,
        ('sandle_prefix_hit_tokens_total', ''): 7, ('sandle_completion_tokens_total', ''): 8,
        ('sandle_sequences', 'waiting'): 9, ('sandle_sequences', 'running'): 10, ('sandle_slots', ''): 11,
        ('sandle_steps_total', ''): 12, ('sandle_step_seconds_total', ''): 13.5,
        ('sandle_model_seconds_total', ''): 14.5,
        ('sandle_first_token_seconds_bucket', '0.5'): 1, ('sandle_first_token_seconds_bucket', '1.0'): 3,
        ('sandle_first_token_seconds_bucket', '+Inf'): 6, ('sandle_first_token_seconds_count', ''): 6,
        ('sandle_first_token_seconds_sum', ''): 15.5, ('sandle_inter_token_seconds_bucket', '0.25'): 0,
        ('sandle_inter_token_seconds_bucket', '+Inf'): 4, ('sandle_inter_token_seconds_count', ''): 4,
        ('sandle_inter_token_seconds_sum', ''): 16.5, ('sandle_queue_seconds_bucket', '1.0'): 5,
        ('sandle_queue_seconds_bucket', '+Inf'): 5, ('sandle_queue_seconds_count', ''): 5,
        ('sandle_queue_seconds_sum', ''): 0.0}
    assert shown['process_start_time_seconds', ''] > 0 and any(name == 'python_info' for name, _ in shown)


def test_openmetrics_for_those_who_ask(client: Any) -> None:
    response = client.get('/metrics', headers={'Accept': 'application/openmetrics-text; version=1.0.0'})
    assert response.content_type.startswith('application/openmetrics-text')
    assert response.get_data(as_text=True).endswith('# EOF\n')


def test_applications_do_not_share_their_numbers(client: Any, lifecycle: http.Lifecycle) -> None:
    other = http.create_app('other', lifecycle)
    endpoints.add_routes(other, ScriptedEngine(), lifecycle, CompletionLimits())
    assert samples(other.test_client().get('/metrics').get_data(as_text=True))['sandle_slots', ''] == 0
    assert samples(client.get('/metrics').get_data(as_text=True))['sandle_slots', ''] == 11


def test_numbers_are_there_to_the_end(client: Any, lifecycle: http.Lifecycle) -> None:
    lifecycle.begin_drain()
    assert client.get('/metrics').status_code == 200
    assert client.get('/v1/models').status_code == 503
