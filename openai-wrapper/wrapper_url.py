"""URLs of backends. Knows addresses as an operator writes them; opens nothing."""

import urllib.parse
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackendUrl:
    """Where a backend listens; `base_path` has no slash at its end."""

    scheme: str
    host: str
    port: int
    base_path: str

    def __str__(self) -> str:
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'{self.scheme}://{host}:{self.port}{self.base_path}'


def parse_url(text: str) -> BackendUrl:
    """Reads a backend's URL, with or without OpenAI's `/v1` at its end. Raises ValueError that says what is wrong."""
    parts = urllib.parse.urlsplit(text.strip())
    if parts.scheme not in ('http', 'https') or not parts.hostname:
        raise ValueError(f'{text!r} is not a URL like http://host:8000')
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f'the URL of {parts.hostname} must not hold a user, a query or a fragment')
    port = parts.port or (443 if parts.scheme == 'https' else 80)
    return BackendUrl(parts.scheme, parts.hostname, port, parts.path.rstrip('/').removesuffix('/v1'))
