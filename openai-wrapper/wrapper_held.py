"""The answer to a streamed request that still waits: comments until its turn comes, then the backend's events.

The status line is out, so whatever goes wrong is told by an event. Knows nothing of why a request waits.
"""

import json
from collections.abc import Callable, Generator, Iterator

import flask

from sandle import app as http
from sandle import errors, sse
from wrapper_access import record


def held_response(tries: Iterator[flask.Response | None], position: Callable[[], int]) -> flask.Response:
    """Returns a stream that begins now. `tries` yields None now and then until it yields the backend's answer."""
    events = flask.stream_with_context(_events(tries, position))  # the backend is asked when the view has returned
    return flask.Response(http.within_request(events), content_type=sse.CONTENT_TYPE, headers=dict(sse.HEADERS))


def _events(tries: Iterator[flask.Response | None], position: Callable[[], int]) -> Iterator[bytes]:
    try:
        response = yield from _wait(tries, position)
        yield from _passed(response)
    except errors.ApiError as error:
        current = record()
        current.status, current.reason = error.status, error.code or error.type
        if not isinstance(error, errors.ClientGoneError):
            yield sse.event(error.body())


def _wait(tries: Iterator[flask.Response | None],
          position: Callable[[], int]) -> Generator[bytes, None, flask.Response]:
    """Yields comments; returns the backend's answer. Raises ApiError."""
    comments = sse.Comments()
    response: flask.Response | None = None
    while response is None:
        if comment := comments.due(position()):
            yield comment
        response = next(tries)
    return response


def _passed(response: flask.Response) -> Iterator[bytes]:
    """Yields the backend's events, or the one that its refusal amounts to."""
    try:
        if response.mimetype == sse.CONTENT_TYPE:
            yield from response.iter_encoded()
        elif response.status_code >= 400:
            record().status = response.status_code
            yield sse.event(json.loads(response.get_data()))
        else:
            raise errors.BadGatewayError('The backend of this model does not stream.')
    finally:
        response.close()
