"""Who may come in: every route needs a key unless it was made public by name.

Takes `Authorization: Bearer KEY`, and Basic with the key as password; the user part of Basic may be anything, as it
could be in the first Sandle. Knows HTTP headers; where keys come from is `wrapper_keys`'s.
"""

import base64
import binascii

import flask

from sandle import errors
from wrapper_access import record
from wrapper_keys import Keys

HOW_TO = ('Provide your API key in an Authorization header using Bearer auth (Authorization: Bearer YOUR_KEY), '
          'or as the password of Basic auth (curl -u :YOUR_KEY).')


class Guard:
    """Refuses requests without a good key. Deciding by endpoint and not by path leaves no path to trick it with."""

    def __init__(self, app: flask.Flask, keys: Keys) -> None:
        self._keys = keys
        self._public: set[str] = set()
        app.before_request(self._check)

    def make_public(self, endpoint: str) -> None:
        """Lets anyone use one endpoint."""
        self._public.add(endpoint)

    def is_public(self, endpoint: str | None) -> bool:
        """Whether an endpoint needs no key; an address that leads nowhere has none and is not public."""
        return endpoint in self._public

    def _check(self) -> None:
        if self.is_public(flask.request.endpoint):
            return
        header = flask.request.headers.get('Authorization')
        if not header:
            raise errors.AuthenticationError(f'You did not provide an API key. {HOW_TO}')
        token = credential(header)
        key = None if token is None else self._keys.find(token)
        if key is None:
            raise errors.AuthenticationError(f'Incorrect API key provided. {HOW_TO}')
        record().key = key


def credential(header: str) -> str | None:
    """Returns the key that an Authorization header gives, None when it gives none.

    The server joins several such headers by a comma and a space: no key holds a space, so they are never good.
    """
    scheme, _, value = header.partition(' ')
    value = value.strip()
    match scheme.lower():
        case 'bearer':
            return value or None
        case 'basic':
            try:
                _, colon, password = base64.b64decode(value, validate=True).decode('utf-8').partition(':')
            except (binascii.Error, UnicodeDecodeError, ValueError):
                return None
            return password if colon else None
        case _:
            return None
