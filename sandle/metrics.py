"""GET /metrics of any component: Prometheus's text format, or OpenMetrics for those who ask for it.

Knows Prometheus's formats and the numbers of the process itself; what else is counted comes as collectors.
"""

import flask
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder


def create_registry() -> CollectorRegistry:
    """Returns a registry of metrics that holds those of the process: memory, processor time, descriptors, Python."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def scrape(registry: CollectorRegistry) -> flask.Response:
    """Returns all metrics as they stand, in the format that the request at hand prefers."""
    encode, content_type = choose_encoder(flask.request.headers.get('Accept', ''))
    return flask.Response(encode(registry), content_type=content_type)
