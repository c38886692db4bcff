"""What is remembered of a request until its end, and the one line in the log that it then becomes."""

import logging
import time
from dataclasses import dataclass, field

import flask

from wrapper_keys import Key
from wrapper_usage import NOTHING, Usage

logger = logging.getLogger(__name__)

MAX_LOGGED_CHARACTERS = 200


@dataclass(slots=True)
class Record:
    """One request. Written by the thread of the request."""

    method: str
    path: str
    started_s: float = field(default_factory=time.monotonic)
    key: Key | None = None
    model: str = '-'
    status: int = 0
    sent_bytes: int = 0
    reason: str = '-'
    usage: Usage | None = None  # as the backend has told it so far
    events: int = 0  # of a stream
    headers: dict[str, str] = field(default_factory=dict)  # that the response gets, whatever becomes of the request

    def cost(self) -> Usage:
        """What the request is to be billed for: nothing if it was refused.

        A backend that tells no usage while it streams has its events counted, which are a token each, or more.
        """
        if self.status >= 400:
            return NOTHING
        return Usage(0, self.events) if self.usage is None else self.usage

    @property
    def key_name(self) -> str:
        """The name by which the key is spoken of, `-` for a request without one."""
        return '-' if self.key is None else self.key.name


def record() -> Record:
    """Returns the record of the request at hand, which begins when it is first asked for."""
    if 'record' not in flask.g:
        flask.g.record = Record(flask.request.method, flask.request.path)
    current: Record = flask.g.record
    return current


def add_access_log(app: flask.Flask, is_quiet: frozenset[str]) -> None:
    """Writes one line a request when its last byte is handed to the server: INFO, and DEBUG for quiet endpoints."""

    def begin() -> None:
        record()

    def end(response: flask.Response) -> flask.Response:
        current = record()
        current.status = response.status_code
        response.headers.extend(current.headers)
        if not response.is_streamed:
            current.sent_bytes = response.content_length or 0
        level = logging.DEBUG if flask.request.endpoint in is_quiet else logging.INFO
        response.call_on_close(lambda: log(current, level))
        return response

    app.before_request(begin)
    app.after_request(end)


def log(current: Record, level: int) -> None:
    """Writes the line. Neither keys, prompts nor query strings are in it; what the client chose is quoted."""
    logger.log(level, 'request method=%s path=%r key=%s model=%r status=%d bytes=%d seconds=%.3f reason=%s',
               current.method, current.path[:MAX_LOGGED_CHARACTERS], current.key_name,
               current.model[:MAX_LOGGED_CHARACTERS], current.status, current.sent_bytes,
               time.monotonic() - current.started_s, current.reason)
