"""The endpoints that make a backend of an Engine, put together."""

import flask

from sandle import accounting, chat, completions, embeddings, engine_metrics, models, tokenizing
from sandle.app import Lifecycle
from sandle.embedder import Embedder
from sandle.engine.engine import Engine
from sandle.sampling_request import CompletionLimits


def add_routes(app: flask.Flask, engine: Engine, lifecycle: Lifecycle, limits: CompletionLimits,
               embedder: Embedder | None = None) -> None:
    """Adds every endpoint of a backend but /health, which the application has, to an application.

    With an embedder, `engine` is an `EngineWithEmbedder` that knows its models, too.
    """

    def ready() -> tuple[dict[str, str], int]:
        if lifecycle.is_draining:
            return {'status': 'draining'}, 503
        return ({'status': 'ready'}, 200) if engine.is_ready() else ({'status': 'loading'}, 503)

    app.add_url_rule('/ready', view_func=ready)
    models.add_routes(app, engine)
    memory = accounting.UsageMemory()
    completions.add_routes(app, engine, limits, memory)
    chat.add_routes(app, engine, limits, memory)
    embeddings.add_routes(app, engine, embedder, memory)
    accounting.add_routes(app, memory)
    tokenizing.add_routes(app, engine)
    engine_metrics.add_routes(app, engine)
