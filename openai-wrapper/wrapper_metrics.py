"""The wrapper's numbers for Prometheus: what requests came to, and how backends, queue and usage stand at the moment.

No label holds what a client wrote: a model is named only if a backend lists it, everything else is of a fixed set or
the operator's own. Keys are not labels; what each has used is told by `keys usage`.
"""

from collections.abc import Iterator

from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sandle import metrics
from sandle.app import Lifecycle
from wrapper_access import Record
from wrapper_queue import Queue
from wrapper_registry import Registry
from wrapper_usage import UsageBook

WAIT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)  # as the backends'
WHOLE_BUCKETS_S = (*WAIT_BUCKETS_S, 300.0, 600.0)


class Metrics:
    """All metrics of a wrapper. `registry` is what is scraped."""

    def __init__(self, lifecycle: Lifecycle, registry: Registry, queue: Queue, book: UsageBook) -> None:
        self.registry = metrics.create_registry()
        self.registry.register(StateCollector(lifecycle, registry, queue, book))
        self._backends = registry
        self._requests = Counter(
            'sandle_wrapper_requests', 'Requests that have ended, by how: "ended", or the code of an error.',
            ['route', 'model', 'status', 'reason'], registry=self.registry)
        self._seconds = Histogram('sandle_wrapper_request_seconds', 'From the arrival of a request to its last byte.',
                                  ['route', 'model'], buckets=WHOLE_BUCKETS_S, registry=self.registry)
        self._first_token = Histogram('sandle_wrapper_first_token_seconds',
                                      "From the arrival of a request to its stream's first token.",
                                      ['model'], buckets=WAIT_BUCKETS_S, registry=self.registry)
        self._tokens = Counter('sandle_wrapper_tokens', 'Tokens that requests were billed for.', ['model', 'kind'],
                               registry=self.registry)
        self._failovers = Counter(
            'sandle_wrapper_failovers', 'Times that another replica was asked for one that was lost or not ready.',
            registry=self.registry)

    def observe(self, current: Record) -> None:
        """Counts a request that has ended."""
        model = current.model if self._backends.has(current.model) else ''
        self._requests.labels(current.route, model, str(current.status), current.reason).inc()
        self._seconds.labels(current.route, model).observe(current.seconds)
        if current.first_token_s is not None:
            self._first_token.labels(model).observe(current.first_token_s)
        self._failovers.inc(max(0, current.replicas_asked - 1))
        cost = current.cost()
        if cost.tokens:
            self._tokens.labels(model, 'prompt').inc(cost.prompt_tokens)
            self._tokens.labels(model, 'completion').inc(cost.completion_tokens)


class StateCollector(Collector):
    """Reads how things stand anew for every scrape."""

    def __init__(self, lifecycle: Lifecycle, registry: Registry, queue: Queue, book: UsageBook) -> None:
        self._lifecycle = lifecycle
        self._registry = registry
        self._queue = queue
        self._book = book

    def collect(self) -> Iterator[Metric]:
        """Yields the gauges."""
        yield GaugeMetricFamily('sandle_wrapper_requests_in_flight', 'Requests under way.', self._lifecycle.running)
        yield from self._requests()
        yield GaugeMetricFamily('sandle_wrapper_draining', 'Whether the process is about to end.',
                                self._lifecycle.is_draining)
        yield GaugeMetricFamily('sandle_wrapper_usage_writable', 'Whether usage could be written to the disk.',
                                self._book.is_writable)
        yield from self._backends()

    def _requests(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily('sandle_wrapper_requests_waiting', 'Requests that wait for their turn.',
                                    labels=['model'])
        running = GaugeMetricFamily('sandle_wrapper_requests_running', 'Requests whose turn has come.',
                                    labels=['model'])
        refused = CounterMetricFamily('sandle_wrapper_requests_refused', 'Requests that the queue has refused.',
                                      labels=['reason'])
        families = (waiting, self._queue.waiting), (running, self._queue.running), (refused, self._queue.refused)
        for family, counts in families:
            for label, count in counts.items():
                family.add_metric([label], count)
            yield family

    def _backends(self) -> Iterator[Metric]:
        labels = ['backend', 'address']
        requests = GaugeMetricFamily('sandle_wrapper_backend_requests', 'Requests under way at a replica.',
                                     labels=labels)
        failures = CounterMetricFamily('sandle_wrapper_backend_failures',
                                       'Requests that a replica lost or was too slow for.', labels=labels)
        reachable = GaugeMetricFamily('sandle_wrapper_backend_reachable', 'Whether a replica answers.', labels=labels)
        ready = GaugeMetricFamily('sandle_wrapper_backend_ready', 'Whether a replica says that it is ready.',
                                  labels=labels)
        replicas = {(str(monitor.replica.url), monitor.replica.address): monitor
                    for monitor in self._registry.replicas()}  # a backend may have been given twice
        for where, monitor in replicas.items():
            requests.add_metric(where, monitor.replica.outstanding)
            failures.add_metric(where, monitor.failures)
            reachable.add_metric(where, monitor.state.is_reachable)
            ready.add_metric(where, monitor.state.is_ready)
        yield from (requests, failures, reachable, ready)
