"""URLs of backends. Knows addresses as an operator writes them; opens nothing."""

import urllib.parse
from dataclasses import dataclass

DEFAULT_PORTS = {'http': 80, 'https': 443}


@dataclass(frozen=True, slots=True)
class BackendUrl:
    """Where a backend listens; `base_path` has no slash at its end."""

    scheme: str
    host: str
    port: int
    base_path: str

    def __str__(self) -> str:
        return f'{self.scheme}://{self._host}:{self.port}{self.base_path}'

    @property
    def authority(self) -> str:
        """What a request says in its Host header: the port stands there if it is not the scheme's own."""
        return self._host if self.port == DEFAULT_PORTS[self.scheme] else f'{self._host}:{self.port}'

    @property
    def _host(self) -> str:
        return f'[{self.host}]' if ':' in self.host else self.host


def parse_url(text: str) -> BackendUrl:
    """Reads a backend's URL, with or without OpenAI's `/v1` at its end. Raises ValueError that says what is wrong."""
    parts = urllib.parse.urlsplit(text.strip())
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f'{text!r} is not a URL like http://host:8000')
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f'the URL of {parts.hostname} must not hold a user, a query or a fragment')
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return BackendUrl(parts.scheme, parts.hostname, port, parts.path.rstrip('/').removesuffix('/v1'))
