"""A completion's span in a backend, and what it falls into: waiting for a slot, prefill, decoding.

Knows what is told of a completion; does nothing where nothing is traced.
"""

import time
from collections.abc import Iterable

import flask

from sandle import tracing
from sandle.engine.engine import Finished
from sandle.log import request_id


class CompletionTrace:
    """One completion, which begins now. Used by the thread of its request."""

    def __init__(self, operation: str, model: str) -> None:
        """`operation`: `text_completion` or `chat`, as OpenTelemetry has it."""
        self._operation = operation
        self._model = model
        self._span = tracing.begin(f'{operation} {model}', flask.request.headers.get(tracing.TRACEPARENT))
        self._began_s = time.monotonic()
        self._first_delta_s: float | None = None

    def delta(self) -> None:
        """Notes that something of the answer is there."""
        if self._first_delta_s is None:
            self._first_delta_s = time.monotonic() - self._began_s

    def end(self, completion_id: str, usage: Finished, finish_reasons: Iterable[str | None], error: str | None) -> None:
        """Ends the span; `error` is the code of what ended the completion, if something did."""
        if self._span is None:
            return
        seconds = time.monotonic() - self._began_s
        if usage.queue_s is not None:
            self._span.part('queue', 0.0, usage.queue_s)
            if self._first_delta_s is not None:
                self._span.part('prefill', usage.queue_s, self._first_delta_s)
                self._span.part('decode', self._first_delta_s, seconds)
        self._span.end(seconds, {
            'gen_ai.operation.name': self._operation, 'gen_ai.provider.name': 'sandle',
            'gen_ai.request.model': self._model,
            'gen_ai.response.id': completion_id,
            'gen_ai.response.finish_reasons': sorted({reason for reason in finish_reasons if reason}) or None,
            'gen_ai.usage.input_tokens': usage.prompt_tokens, 'gen_ai.usage.output_tokens': usage.completion_tokens,
            'sandle.request_id': request_id.get()}, error)
