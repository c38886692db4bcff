"""The built web page and the docs, served without nginx.

Every file is read at the start and gets a route of its own: so no request names a file, nothing can be reached that is
not there to be read, and a page that is rebuilt meanwhile is never served half old and half new.
"""

import hashlib
import mimetypes
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import flask

from wrapper_auth import Guard

PLAIN_NAME = re.compile(r'(?:[A-Za-z0-9_@-][A-Za-z0-9._@-]*/)*[A-Za-z0-9_@-][A-Za-z0-9._@-]*')
TYPES = {'.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.html': 'text/html',
         '.svg': 'image/svg+xml', '.json': 'application/json', '.map': 'application/json', '.yaml': 'application/yaml',
         '.woff2': 'font/woff2', '.webmanifest': 'application/manifest+json', '.ico': 'image/x-icon'}
# The same as demo/nginx gives.
PAGE_CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
            "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'")
# Swagger UI draws its icons from data: URIs and knows no trusted types.
DOCS_CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
            "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
SECURITY_HEADERS = {
    'X-Content-Type-Options': 'nosniff', 'X-Frame-Options': 'DENY', 'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()'}
DOCS = '/docs/'
FOR_EVER = 'public, max-age=31536000, immutable'  # a built asset's name holds a hash of what is in it
ASK_AGAIN = 'no-cache'


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is served."""

    content: bytes
    headers: Mapping[str, str]


def load(folder: Path, prefix: str) -> dict[str, StaticFile]:
    """Reads a folder and returns its files by address; `x/index.html` is `x/`, too. Raises OSError.

    Files with unusual names, hidden ones among them, are left out, and so are those that were compressed for nginx.
    """
    files = {}
    for path in sorted(folder.rglob('*')):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or not PLAIN_NAME.fullmatch(name) or path.suffix in ('.gz', '.br'):
            continue
        file = StaticFile(path.read_bytes(), {
            'Content-Type': _content_type(path),
            'Cache-Control': FOR_EVER if name.startswith('assets/') else ASK_AGAIN,
            'Content-Security-Policy': DOCS_CSP if f'{prefix}{name}'.startswith(DOCS) else PAGE_CSP,
            **SECURITY_HEADERS})
        files[f'{prefix}{name}'] = file
        if path.name == 'index.html':
            files[f'{prefix}{name.removesuffix("index.html")}'] = file
    return files


def add_page(app: flask.Flask, guard: Guard, files: Mapping[str, StaticFile]) -> None:
    """Adds a public route for every file, and for a folder's address without its slash."""
    for address, file in files.items():
        _add(app, guard, address, partial(_respond, file))
        if address.endswith('/') and address != '/':
            bare = address.removesuffix('/')
            to = f'{bare.rpartition("/")[2]}/'  # relative: whatever the server is called from outside
            _add(app, guard, bare, partial(flask.Response, status=308, headers={'Location': to}))


def _add(app: flask.Flask, guard: Guard, address: str, view: Callable[[], flask.Response]) -> None:
    endpoint = f'page {address}'.replace('.', ' ')  # flask keeps dots to itself
    if endpoint not in app.view_functions:
        app.add_url_rule(address, endpoint, view, strict_slashes=True)
        guard.make_public(endpoint)


def _content_type(path: Path) -> str:
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or 'application/octet-stream'
    is_text = kind.startswith('text/') or kind in ('application/json', 'application/yaml', 'image/svg+xml')
    return f'{kind}; charset=utf-8' if is_text else kind


def _respond(file: StaticFile) -> flask.Response:
    response = flask.Response(file.content, headers=dict(file.headers))
    response.set_etag(hashlib.sha256(file.content).hexdigest()[:32])
    response.make_conditional(flask.request)
    return response
