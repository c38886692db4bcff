"""What a backend's unstreamed answer becomes: itself, when it keeps to the API; else the error that it amounts to.

So a client meets the API's error body also where a backend is another server, or one behind a proxy that speaks HTML.
"""

import json

from sandle import errors

MAX_ERROR_BYTES = 64 * 1024  # of a backend's error that are looked at
# A client must not take the wrapper's trouble with a backend (401, 403, a redirect) for its own.
ERRORS: dict[int, type[errors.ApiError]] = {
    400: errors.InvalidRequestError, 404: errors.NotFoundError, 405: errors.InternalError,
    413: errors.BodyTooLargeError, 415: errors.InternalError, 422: errors.InvalidRequestError,
    429: errors.RateLimitError, 500: errors.InternalError, 503: errors.UnavailableError}
UNAVAILABLE: tuple[type[errors.ApiError], ...] = (
    errors.ModelLoadingError, errors.QueueFullError, errors.ShuttingDownError)
PASSED_STATUSES = frozenset({*range(400, 600)}) - {401, 403, 407}


def check(status: int, content_type: str, retry_after: str | None, body: bytes) -> None:
    """Raises the ApiError that an answer amounts to; returns for one that may be passed on as it is."""
    is_json = _is_json(content_type)
    if 200 <= status < 300 and is_json:
        return
    if status in PASSED_STATUSES and _is_error_body(_content(body) if is_json else None):
        return
    raise as_error(status, content_type, retry_after, body)


def as_error(status: int, content_type: str, retry_after: str | None, body: bytes) -> errors.ApiError:
    """Returns the error that an answer amounts to where its bytes cannot be passed on."""
    kind = ERRORS.get(status)
    if kind is None:
        return errors.BadGatewayError(f'The backend of this model gave an answer with status {status} that is none.')
    content = _content(body) if _is_json(content_type) else None
    if status == 503 and isinstance(content, dict) and _is_error_body(content):
        kind = next((known for known in UNAVAILABLE if known.code == content['error']['code']), kind)
    message = _message(content) or f'The backend of this model refused the request with status {status}.'
    return kind(message, param=_param(content),
                retry_after_s=int(retry_after) if retry_after and retry_after.isdecimal() else None)


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(';')[0].strip().lower()
    return media_type == 'application/json' or media_type.endswith('+json')


def _content(body: bytes) -> object:
    try:
        return json.loads(body[:MAX_ERROR_BYTES])
    except (ValueError, RecursionError):
        return None


def _is_error_body(content: object) -> bool:
    error = content.get('error') if isinstance(content, dict) else None
    return (isinstance(error, dict) and error.keys() >= {'message', 'type', 'param', 'code'}
            and isinstance(error['message'], str) and isinstance(error['type'], str)
            and isinstance(error['param'], str | None) and isinstance(error['code'], str | None))


def _message(content: object) -> str | None:
    """Returns what other servers say: in `error.message`, `error`, `message` or `detail`."""
    if not isinstance(content, dict):
        return None
    error = content.get('error')
    places = [error.get('message') if isinstance(error, dict) else error, content.get('message'), content.get('detail')]
    return next((place for place in places if isinstance(place, str) and place), None)


def _param(content: object) -> str | None:
    """Returns the field that another server blames, in `error.param`."""
    error = content.get('error') if isinstance(content, dict) else None
    param = error.get('param') if isinstance(error, dict) else None
    return param if isinstance(param, str) else None
