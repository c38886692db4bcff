"""A Flask application with Sandle's manners: JSON errors everywhere, request ids, no redirects, no HTML.

Knows HTTP; knows nothing of models. Both the backends and the wrapper are built on `create_app`.
"""

import logging
import random
import re
import threading
from collections.abc import Callable, Iterator

import flask
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from sandle import errors, jsonbody
from sandle.log import request_id

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER = 'x-request-id'
USAGE_HEADER = 'X-Sandle-Usage'
"""A request with it gets its usage so far before every event of a stream, and has it kept by the header's value."""
USAGE_PATH = '/internal/usage/'
"""Where a backend tells what it has kept."""
LOAD_PATH, UNLOAD_PATH = '/internal/models/load', '/internal/models/unload'
"""Where an operator has a backend load a model, or take it out of memory."""
KEY_HEADER = 'X-Sandle-Key'  # by whose name a backend's turns are shared out; the wrapper alone says so
SANE_REQUEST_ID = re.compile(r'[A-Za-z0-9._:-]{1,128}')
ROUTES_WHILE_DRAINING = frozenset({'/health', '/ready', '/metrics'})


class Lifecycle:
    """Whether the process takes new requests, and how many it is working on. Used from any thread."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._running = 0
        self._is_draining = False

    @property
    def running(self) -> int:
        """Requests under way; those that are answered while draining are not counted."""
        return self._running

    @property
    def is_draining(self) -> bool:
        """Whether new requests are refused because the process is about to end."""
        return self._is_draining

    def begin_drain(self) -> None:
        """Refuses new requests from now on."""
        with self._condition:
            self._is_draining = True

    def start(self) -> bool:
        """Counts a request in, unless the process is draining; returns whether it may run."""
        with self._condition:
            self._running += not self._is_draining
            return not self._is_draining

    def finished(self) -> None:
        """Counts a request out, after its last byte was handed to the server."""
        with self._condition:
            self._running -= 1
            self._condition.notify_all()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Waits until no request runs; returns whether that came about in time."""
        with self._condition:
            return self._condition.wait_for(lambda: self._running == 0, timeout_s)


def create_app(name: str, lifecycle: Lifecycle) -> flask.Flask:
    """Returns an application without routes of its own but GET /health."""
    app = flask.Flask(name, static_folder=None)
    app.config['PROVIDE_AUTOMATIC_OPTIONS'] = False
    assert isinstance(app.json, DefaultJSONProvider)
    app.json.sort_keys = False
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    app.url_map.redirect_defaults = False
    app.before_request(lambda: _before_request(lifecycle))
    app.after_request(lambda response: _after_request(response, lifecycle))
    app.register_error_handler(Exception, _error_response)
    app.add_url_rule('/health', 'health', lambda: {'status': 'ok'})
    return app


def read_json() -> dict[str, object]:
    """Returns the JSON object in the body of the request at hand. Raises NotJsonError and InvalidRequestError."""
    if flask.request.mimetype != 'application/json' and not flask.request.mimetype.endswith('+json'):
        raise errors.NotJsonError("Your request does not have a JSON Content-Type header. "
                                  'The API expects "Content-Type: application/json".')
    return jsonbody.parse_object(flask.request.get_data())


def client_disconnected() -> Callable[[], bool]:
    """Returns a function that tells whether the client of the request at hand has gone; it may be called later on."""
    found: Callable[[], bool] = flask.request.environ.get('waitress.client_disconnected', lambda: False)
    return found


def error_body(error: errors.ApiError) -> flask.Response:
    """Returns the response that an error is, and notes its code as `flask.g.error` for those who keep records."""
    flask.g.error = error.code or error.type
    response = flask.jsonify(error.body())
    response.status_code = error.status
    response.headers.extend(error.headers())
    return response


def _before_request(lifecycle: Lifecycle) -> None:
    claimed = flask.request.headers.get(REQUEST_ID_HEADER, '')
    flask.g.request_id = claimed if SANE_REQUEST_ID.fullmatch(claimed) else f'req-{random.getrandbits(96):024x}'
    request_id.set(flask.g.request_id)
    if flask.request.path in ROUTES_WHILE_DRAINING:
        return
    if not lifecycle.start():
        raise errors.ShuttingDownError('The server is shutting down. Please try again shortly.', retry_after_s=5)
    flask.g.counted = True


def _after_request(response: flask.Response, lifecycle: Lifecycle) -> flask.Response:
    response.headers[REQUEST_ID_HEADER] = flask.g.request_id
    if flask.g.pop('counted', False):
        response.call_on_close(lifecycle.finished)
    return response


def _error_response(error: Exception) -> flask.Response:
    if isinstance(error, HTTPException):
        response = error_body(_api_error(error))
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers['Allow'] = ', '.join(sorted(error.valid_methods))
        return response
    if not isinstance(error, errors.ApiError):
        logger.error('unhandled error in %s %s', flask.request.method, flask.request.path, exc_info=error)
        error = internal_error()
    return error_body(error)


def internal_error() -> errors.InternalError:
    """Returns the error for a fault of ours, with the id by which its traceback can be found in the log."""
    return errors.InternalError('The server had an internal error. Please tell its operator this request id: '
                                f'{request_id.get()}')


def _api_error(error: HTTPException) -> errors.ApiError:
    """Translates what werkzeug raises by itself."""
    method, path = flask.request.method, flask.request.path
    match error.code:
        case 404:
            return errors.NotFoundError(f'Invalid URL ({method} {path})')
        case 405:
            return errors.MethodNotAllowedError(
                f'Not allowed to {method} on {path} (HINT: Perhaps you meant to use a different HTTP method?)')
        case 413:
            return errors.BodyTooLargeError('The request body is too large.')
        case code if code is not None and 400 <= code < 500:
            return errors.InvalidRequestError(error.description or 'The request is malformed.')
        case _:
            logger.error('%s %s: %s', method, path, error)
            return internal_error()


def within_request(stream: Iterator[bytes]) -> Iterator[bytes]:
    """Gives a streaming body its request's id for its log lines: the server reads it after the view has returned."""
    current = flask.g.request_id

    def body() -> Iterator[bytes]:
        request_id.set(current)
        yield from stream

    return body()
