"""The page and the docs without nginx."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from pathlib import Path

import flask.testing
import pytest

import wrapper_page
from tests.end_to_end.scripted_backend import error_of
from wrapper_app import Policy

if TYPE_CHECKING:
    from tests.conftest import Wrapper


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A built page beside a file that is none of its business."""
    (tmp_path / 'secret.txt').write_text('secret')
    page = tmp_path / 'page'
    for name, content in {'index.html': '<p>page</p>', 'theme.js': 'x',
                          'assets/index-a1B2.js': 'y', '.env': 'secret',
                          'assets/.hidden': 'secret', '<name>': 'odd', 'index.html.gz': 'z',
                          'assets/logo.svg': '<svg/>'}.items():
        path = page / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    docs = tmp_path / 'docs'
    docs.mkdir()
    (docs / 'index.html').write_text('<p>docs</p>')
    (docs / 'swagger.yaml').write_text('openapi: 3.0.3')
    return tmp_path


@pytest.fixture
def client(make_wrapper: Callable[..., 'Wrapper'], folder: Path) -> flask.testing.FlaskClient:
    files = wrapper_page.load(folder / 'page', '/') | wrapper_page.load(folder / 'docs', '/docs/')
    return make_wrapper('http://127.0.0.1:9', policy=Policy(pages=files)).client


@pytest.mark.parametrize('path, content, content_type, cache', [
    ('/', '<p>page</p>', 'text/html; charset=utf-8', 'no-cache'),
    ('/index.html', '<p>page</p>', 'text/html; charset=utf-8', 'no-cache'),
    ('/theme.js', 'x', 'text/javascript; charset=utf-8', 'no-cache'),
    ('/assets/index-a1B2.js', 'y', 'text/javascript; charset=utf-8', 'public, max-age=31536000, immutable'),
    ('/assets/logo.svg', '<svg/>', 'image/svg+xml; charset=utf-8', 'public, max-age=31536000, immutable'),
    ('/docs/', '<p>docs</p>', 'text/html; charset=utf-8', 'no-cache'),
    ('/docs/swagger.yaml', 'openapi: 3.0.3', 'application/yaml; charset=utf-8', 'no-cache')])
def test_files_are_served_without_a_key(client: flask.testing.FlaskClient, path: str, content: str, content_type: str,
                                        cache: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.text) == (200, content)
    assert (response.headers['Content-Type'], response.headers['Cache-Control']) == (content_type, cache)
    assert "default-src 'none'" in response.headers['Content-Security-Policy']
    assert 'unsafe' not in response.headers['Content-Security-Policy']
    assert ('trusted-types' in response.headers['Content-Security-Policy']) == (not path.startswith('/docs/'))
    assert response.headers['X-Content-Type-Options'] == 'nosniff'
    again = client.get(path, headers={'If-None-Match': response.headers['ETag']})
    assert (again.status_code, again.data) == (304, b'')


def test_folder_without_its_slash_leads_there(client: flask.testing.FlaskClient) -> None:
    """Else the relative links of the docs would break; relative, so that no Host can lead elsewhere."""
    response = client.get('/docs', headers={'Host': 'evil.example'})
    assert (response.status_code, response.headers['Location']) == (308, 'docs/')


@pytest.mark.parametrize('path', [
    '/../secret.txt', '/assets/../../secret.txt', '/..%2fsecret.txt', '/%2e%2e/secret.txt',
    '/assets/..%2f..%2fsecret.txt', '/.env', '/assets/.hidden', '/<name>', '/anything', '/assets/', '//etc/passwd',
    '/assets/index-a1B2.js/', '/index.html%00.js', '/docs/../v1/models', '/secret.txt',
    '/index.html.gz'])
def test_nothing_else_is(client: flask.testing.FlaskClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 401
    error_of(response)
    assert 'secret"' not in response.text


def test_rebuilt_page_is_not_served_half(client: flask.testing.FlaskClient, folder: Path) -> None:
    (folder / 'page' / 'assets' / 'index-a1B2.js').unlink()
    (folder / 'page' / 'index.html').write_text('new')
    assert client.get('/').text == '<p>page</p>'
    assert client.get('/assets/index-a1B2.js').text == 'y'


def test_api_still_needs_a_key(client: flask.testing.FlaskClient) -> None:
    assert client.get('/v1/models').status_code == 401
    assert client.post('/').status_code == 401
