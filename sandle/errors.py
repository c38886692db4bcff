"""Every error that a client can see, and the one place that spells its JSON.

    ApiError
    ├── InvalidRequestError 400
    │   ├── ContextLengthExceededError
    │   ├── UnsupportedParameterError
    │   ├── NotJsonError 415
    │   ├── RequestTimeoutError 408
    │   ├── BodyTooLargeError 413
    │   └── HeadersTooLargeError 431
    ├── AuthenticationError 401
    ├── PermissionDeniedError 403
    ├── NotFoundError 404
    │   └── ModelNotFoundError
    ├── MethodNotAllowedError 405
    ├── RateLimitError 429
    ├── ClientGoneError 499             nobody is left to read it; it is for the log
    ├── InternalError 500
    │   └── BackendLostError 502        an answer broke off in the middle
    ├── BadGatewayError 502             a backend cannot be reached, or answers nonsense
    ├── GatewayTimeoutError 504         a backend is silent
    └── UnavailableError 503            try again later
        ├── ModelLoadingError
        ├── QueueFullError
        └── ShuttingDownError

Views and engines raise these; `sandle.app` turns them into responses, and streams into error events. Nothing here
knows of flask.
"""

from typing import ClassVar


class ApiError(Exception):
    """An error with its HTTP status and the four keys of OpenAI's error object.

    `param` names the request field at fault, if one is; `retry_after_s` becomes the Retry-After header (whole
    seconds, at least 1).
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = 'server_error'
    code: ClassVar[str | None] = None

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = None if retry_after_s is None else max(1, retry_after_s)

    def body(self) -> dict[str, dict[str, str | None]]:
        """Returns the JSON body of this error: `{"error": {message, type, param, code}}`."""
        return {'error': {'message': self.message, 'type': self.type, 'param': self.param, 'code': self.code}}

    def headers(self) -> dict[str, str]:
        """Returns the response headers that this error asks for."""
        return {} if self.retry_after_s is None else {'Retry-After': str(self.retry_after_s)}


class InvalidRequestError(ApiError):
    """The request is wrong; sending it again will not help."""

    status = 400
    type = 'invalid_request_error'


class ContextLengthExceededError(InvalidRequestError):
    """Prompt and completion together do not fit the model's context; worded as OpenAI words it."""

    code = 'context_length_exceeded'

    def __init__(self, context_length: int, prompt_tokens: int, max_tokens: int, *, prompt: str = 'prompt') -> None:
        """`prompt` names the field that the prompt stands in."""
        super().__init__(
            f"This model's maximum context length is {context_length} tokens, however you requested "
            f'{prompt_tokens + max_tokens} tokens ({prompt_tokens} in your prompt; {max_tokens} for the completion). '
            'Please reduce your prompt; or completion length.',
            param=prompt if prompt_tokens >= context_length else 'max_tokens')


class UnsupportedParameterError(InvalidRequestError):
    """A known field that this model or backend cannot serve."""

    code = 'unsupported_parameter'


class NotJsonError(InvalidRequestError):
    """The body is not declared to be JSON."""

    status = 415


class RequestTimeoutError(InvalidRequestError):
    """The request did not arrive in time."""

    status = 408


class BodyTooLargeError(InvalidRequestError):
    """The body is larger than the server's limit."""

    status = 413


class HeadersTooLargeError(InvalidRequestError):
    """The request's headers are larger than the server's limit."""

    status = 431


class AuthenticationError(ApiError):
    """No key, or a wrong one."""

    status = 401
    type = 'invalid_request_error'
    code = 'invalid_api_key'


class PermissionDeniedError(ApiError):
    """A good key that may not do this."""

    status = 403
    type = 'invalid_request_error'
    code = 'permission_denied'


class NotFoundError(ApiError):
    """No such address."""

    status = 404
    type = 'invalid_request_error'


class ModelNotFoundError(NotFoundError):
    """No such model."""

    code = 'model_not_found'

    def __init__(self, model: str) -> None:
        super().__init__(f'The model {model!r} does not exist', param='model')


class MethodNotAllowedError(ApiError):
    """The address exists, the method does not."""

    status = 405
    type = 'invalid_request_error'


class RateLimitError(ApiError):
    """The key has used up its rate."""

    status = 429
    type = 'rate_limit_error'
    code = 'rate_limit_exceeded'


class ClientGoneError(ApiError):
    """The client has closed its connection."""

    status = 499
    type = 'client_disconnected'
    code = 'client_disconnected'


class InternalError(ApiError):
    """A fault of ours. The message holds a request id and never a traceback."""

    code = 'internal_error'


class BackendLostError(InternalError):
    """A backend broke off its answer."""

    status = 502
    code = 'backend_lost'


class BadGatewayError(ApiError):
    """A backend cannot be reached, or does not speak the protocol."""

    status = 502
    code = 'backend_unreachable'


class GatewayTimeoutError(ApiError):
    """A backend did not answer in time."""

    status = 504
    code = 'backend_timeout'


class UnavailableError(ApiError):
    """Nothing is wrong with the request: it may be sent again after `retry_after_s`."""

    status = 503
    code = 'unavailable'


class ModelLoadingError(UnavailableError):
    """The model is being loaded."""

    code = 'model_loading'


class QueueFullError(UnavailableError):
    """As many requests wait as may."""

    code = 'queue_full'


class ShuttingDownError(UnavailableError):
    """The process ends; another one may take over."""

    code = 'shutting_down'
