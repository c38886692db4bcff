"""GET /metrics of a backend: an Engine's statistics as Prometheus's metrics.

What is counted, and when, is the engine's.
"""

from collections.abc import Iterator
from itertools import accumulate

import flask
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sandle import metrics
from sandle.engine.engine import Engine, ModelStatus
from sandle.engine.statistics import Histogram


def add_routes(app: flask.Flask, engine: Engine) -> None:
    """Adds /metrics to an application."""
    registry = metrics.create_registry()
    registry.register(EngineCollector(engine))
    app.add_url_rule('/metrics', 'metrics', lambda: metrics.scrape(registry))


class EngineCollector(Collector):
    """Reads an engine's statistics anew for every scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Yields all metrics, of one and the same moment."""
        now = self._engine.statistics()
        requests = CounterMetricFamily('sandle_requests', 'Requests that have ended, or were not taken.',
                                       labels=['outcome'])
        for outcome, count in now.requests.items():
            requests.add_metric([outcome], count)
        yield requests
        yield CounterMetricFamily('sandle_prompt_tokens', 'Prompt tokens of sequences that got a slot.',
                                  now.prompt_tokens)
        yield CounterMetricFamily('sandle_prefix_hit_tokens', 'Prompt tokens that another sequence had computed.',
                                  now.prefix_hit_tokens)
        yield CounterMetricFamily('sandle_completion_tokens', 'Tokens generated.', now.completion_tokens)
        sequences = GaugeMetricFamily('sandle_sequences', 'Sequences at this moment.', labels=['state'])
        sequences.add_metric(['waiting'], now.waiting)
        sequences.add_metric(['running'], now.running)
        yield sequences
        ready = GaugeMetricFamily('sandle_model_ready', 'Whether a model on offer is in memory and serves.',
                                  labels=['model'])
        for model in self._engine.models():
            ready.add_metric([model.id], model.status is ModelStatus.READY)
        yield ready
        yield GaugeMetricFamily('sandle_slots', 'Sequences that can run at once.', now.slots)
        yield CounterMetricFamily('sandle_steps', 'Steps of the engine.', now.steps)
        yield CounterMetricFamily('sandle_step_seconds', 'Time spent in steps.', now.step_seconds)
        yield CounterMetricFamily('sandle_model_seconds', "The model's part of the time spent in steps.",
                                  now.model_seconds)
        yield _histogram('sandle_first_token_seconds', "From a request's arrival to its first token.",
                         now.first_token_s)
        yield _histogram('sandle_inter_token_seconds', "Between a sequence's tokens.", now.inter_token_s)
        yield _histogram('sandle_queue_seconds', "From a sequence's arrival to its slot.", now.queue_s)


def _histogram(name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
    """Returns a histogram in Prometheus's manner, in which every class holds the ones below it."""
    bounds = [*map(str, histogram.bounds), '+Inf']
    return HistogramMetricFamily(name, text, list(zip(bounds, accumulate(histogram.counts))), histogram.sum)
