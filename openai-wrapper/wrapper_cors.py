"""Which pages of other origins may use the API from a browser: none, unless the operator names their origins."""

import re
from collections.abc import Collection

import flask

# What clients in a browser send; openai-node adds a family of headers that describe itself.
ALLOWED_HEADER = re.compile(r'authorization|content-type|accept|x-request-id|openai-[a-z-]+|x-stainless-[a-z-]+')
EXPOSED_HEADERS = 'x-request-id, Retry-After'
MAX_AGE_S = 3600


def add_cors(app: flask.Flask, origins: Collection[str]) -> None:
    """Answers preflight requests of the origins given, `*` for any, and marks responses as readable for them.

    A preflight carries no key, so this has to be added before the guard.
    """
    if not origins:
        return

    def is_allowed(origin: str | None) -> bool:
        return origin is not None and (origin in origins or '*' in origins)

    def preflight() -> flask.Response | None:
        headers = flask.request.headers
        if (flask.request.method != 'OPTIONS' or 'Access-Control-Request-Method' not in headers
                or not is_allowed(headers.get('Origin'))):
            return None
        asked = headers.get('Access-Control-Request-Headers', '').lower().replace(' ', '').split(',')
        return flask.Response(status=204, headers={
            'Access-Control-Allow-Methods': 'GET, POST',
            'Access-Control-Allow-Headers': ', '.join(name for name in asked if ALLOWED_HEADER.fullmatch(name)),
            'Access-Control-Max-Age': str(MAX_AGE_S)})

    def mark(response: flask.Response) -> flask.Response:
        response.vary.add('Origin')
        origin = flask.request.headers.get('Origin')
        if origin is not None and is_allowed(origin):
            response.headers['Access-Control-Allow-Origin'] = origin
            response.headers['Access-Control-Expose-Headers'] = EXPOSED_HEADERS
        return response

    app.before_request(preflight)
    app.after_request(mark)
