"""A span for every request to the API, and its trace's id for the backend, so that its spans become parts of this one.

Knows records of requests; how spans are sent is `sandle.tracing`'s.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import flask

from sandle import tracing
from wrapper_access import ENDED, QUIET_ROUTES, Record, record

if TYPE_CHECKING:
    from sandle.spans import Span

UNTRACED = QUIET_ROUTES | {'page'}
OPERATIONS = {'/v1/completions': 'text_completion', '/v1/chat/completions': 'chat'}
ENDS_WELL = frozenset({ENDED, 'client_disconnected'})


def add_tracing(app: flask.Flask, is_model: Callable[[str], bool]) -> None:
    """Traces an application's requests, if anything is traced. `is_model`: other names of models are not told."""
    if not tracing.is_on():
        return

    def begin() -> None:
        current = record()
        if current.route not in UNTRACED:
            span = tracing.begin(f'{current.method} {current.route}', flask.request.headers.get(tracing.TRACEPARENT))
            assert span is not None, 'it is on'
            current.backend_headers |= span.headers()
            current.on_end.append(partial(_end, span, flask.g.request_id, is_model))

    app.before_request(begin)


def _end(span: 'Span', request_id: str, is_model: Callable[[str], bool], current: Record) -> None:
    cost = current.cost()
    if current.first_token_s is not None:
        span.event('first_token', current.first_token_s)
    span.end(current.seconds, {
        'http.request.method': current.method, 'http.route': current.route, 'http.response.status_code': current.status,
        'gen_ai.operation.name': OPERATIONS.get(current.route), 'gen_ai.provider.name': 'sandle',
        'gen_ai.request.model': current.model if is_model(current.model) else None,
        'gen_ai.response.time_to_first_chunk': current.first_token_s,
        'gen_ai.usage.input_tokens': cost.prompt_tokens or None,
        'gen_ai.usage.output_tokens': cost.completion_tokens or None,
        'sandle.request_id': request_id, 'sandle.replicas_asked': current.replicas_asked or None,
    }, current.reason if current.status >= 500 or current.status < 400 and current.reason not in ENDS_WELL else None)
