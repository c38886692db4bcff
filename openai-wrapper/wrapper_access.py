"""What is remembered of a request until its end, and the one line in the log that it then becomes.

Whoever wants to know of requests that have ended (the log, the metrics, the traces) is given their records.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import flask

from sandle import errors
from sandle.log import Event
from wrapper_keys import Key
from wrapper_usage import NOTHING, Usage

logger = logging.getLogger(__name__)

MAX_LOGGED_CHARACTERS = 200
QUIET_ROUTES = frozenset({'/health', '/ready', '/metrics'})  # asked every few seconds
ENDED = 'ended'


@dataclass(slots=True)
class Record:
    """One request. Written by the thread of the request.

    `route` is the rule that its address fits, without what the client chose of it. `reason` says how it ended: ENDED,
    or the code of an error. Durations count from `started_s`; `first_token_s` is a stream's.
    """

    method: str
    path: str
    route: str = 'unknown'
    started_s: float = field(default_factory=time.monotonic)
    key: Key | None = None
    model: str = ''
    status: int = 0
    sent_bytes: int = 0
    reason: str = ''
    seconds: float = 0.0
    first_token_s: float | None = None
    replicas_asked: int = 0
    usage: Usage | None = None  # as the backend has told it so far
    events: int = 0  # of a stream
    headers: dict[str, str] = field(default_factory=dict)  # that the response gets, whatever becomes of the request
    backend_headers: dict[str, str] = field(default_factory=dict)  # that the backend gets
    on_end: list['Observer'] = field(default_factory=list)  # called when it has ended, after those of all requests

    def cost(self) -> Usage:
        """What the request is to be billed for: nothing if it was refused.

        A backend that tells no usage while it streams has its events counted, which are a token each, or more.
        """
        if self.status >= 400:
            return NOTHING
        return Usage(0, self.events) if self.usage is None else self.usage

    @property
    def key_name(self) -> str | None:
        """The name by which the key is spoken of, None for a request without one."""
        return None if self.key is None else self.key.name

    def settle(self, is_stream: bool) -> None:
        """Fixes what is known only now that the request has ended."""
        self.seconds = time.monotonic() - self.started_s
        if self.reason:
            return
        if is_stream:  # its body was not even asked for
            self.reason = errors.ClientGoneError.code
        else:
            self.reason = ENDED if self.status < 400 else 'backend_error'


Observer = Callable[[Record], None]


def record() -> Record:
    """Returns the record of the request at hand, which begins when it is first asked for."""
    current: Record | None = flask.g.get('record')
    if current is None:
        rule = flask.request.url_rule
        current = Record(flask.request.method, flask.request.path,
                         'unknown' if rule is None else _route(rule.rule, rule.endpoint))
        flask.g.record = current
    return current


@lru_cache(1024)
def _route(rule: str, endpoint: str) -> str:
    """Returns a rule as it is spoken of: `/v1/models/{model}`, the same with and without `/m/{model}` before it."""
    if endpoint.startswith('page '):
        return 'page'
    return re.sub(r'<(?:\w+:)?(\w+)>', r'{\1}', rule).removeprefix('/m/{model}')


def follow_requests(app: flask.Flask, observers: Sequence[Observer]) -> None:
    """Gives every request's record to the observers when its last byte has been handed to the server."""

    def begin() -> None:
        record()

    def end(response: flask.Response) -> flask.Response:
        current = record()
        current.status = response.status_code
        current.reason = current.reason or flask.g.get('error', '')
        response.headers.extend(current.headers)
        if not response.is_streamed:
            current.sent_bytes = response.content_length or 0
        response.call_on_close(lambda: close(current, response.is_streamed))
        return response

    def close(current: Record, is_stream: bool) -> None:
        current.settle(is_stream)
        for observe in (*observers, *current.on_end):
            observe(current)

    app.before_request(begin)
    app.after_request(end)


def log(current: Record) -> None:
    """Writes the line: INFO, and DEBUG for quiet routes. Neither keys, prompts nor query strings are in it."""
    logger.log(logging.DEBUG if current.route in QUIET_ROUTES else logging.INFO, Event(
        'request', method=current.method, path=current.path[:MAX_LOGGED_CHARACTERS], key=current.key_name,
        model=current.model[:MAX_LOGGED_CHARACTERS] or None, status=current.status, bytes=current.sent_bytes,
        seconds=round(current.seconds, 3), reason=current.reason))
