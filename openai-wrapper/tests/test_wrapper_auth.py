"""Who gets in."""

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandle.app import Lifecycle, create_app
from tests.end_to_end.scripted_backend import AUTHORIZED, KEY, error_of
from wrapper_auth import credential

if TYPE_CHECKING:
    from tests.conftest import Wrapper


def basic(user: str, password: str) -> str:
    return 'Basic ' + base64.b64encode(f'{user}:{password}'.encode()).decode()


@pytest.fixture
def wrapper(make_wrapper: Callable[..., 'Wrapper']) -> 'Wrapper':
    return make_wrapper('http://127.0.0.1:9')


@pytest.mark.parametrize('header', [f'Bearer {KEY}', f'bearer  {KEY} ', basic('', KEY), basic('anyone', KEY)])
def test_good_key_gets_in(wrapper: 'Wrapper', header: str) -> None:
    assert wrapper.client.get('/v1/models', headers={'Authorization': header}).status_code == 200


@pytest.mark.parametrize('header', [
    '', 'Bearer', 'Bearer ', 'Bearer wrong', f'Bearer {KEY}x', f'Bearer {KEY.upper()}', KEY, f'Token {KEY}',
    f'Bearer {KEY}, Bearer {KEY}2', f'Bearer {KEY}2, Bearer {KEY}', f'Bearer {KEY}, {basic("", "other")}',
    basic(KEY, ''), basic('', ''), basic('', f'{KEY}:'), 'Basic', 'Basic ****',
    'Basic ' + base64.b64encode(KEY.encode()).decode(),
    'Basic //79', 'Bearer k\xe9y', 'Bearer ' + 'x' * 5000])
def test_anything_else_does_not(wrapper: 'Wrapper', header: str) -> None:
    response = wrapper.client.get('/v1/models', headers={'Authorization': header})
    assert response.status_code == 401
    assert error_of(response)['code'] == 'invalid_api_key'
    assert 'WWW-Authenticate' not in response.headers
    assert KEY not in response.text


@given(st.text())
@example('Basic Og==')
@example('Basic =')
def test_credential_of_any_header_is_a_string_or_nothing(header: str) -> None:
    found = credential(header)
    assert found is None or isinstance(found, str)


def test_every_route_but_two_needs_a_key(wrapper: 'Wrapper') -> None:
    """Walks the routes, so that a route added later is held to it, too."""
    open_paths = set()
    for rule in wrapper.app.url_map.iter_rules():
        path = rule.rule.replace('<path:model>', 'a/b')
        for method in rule.methods or ():
            if wrapper.client.open(path, method=method).status_code != 401:
                open_paths.add(path)
    assert open_paths == {'/health', '/ready'}
    assert len(list(wrapper.app.url_map.iter_rules())) > len(open_paths)


@pytest.mark.parametrize('path', [
    '/', '/v1', '/v1/', '/v2/models', '//v1/models', '/v1//models', '/v1/models/', '/V1/models', '/v1;x/models',
    '/health/../v1/models', '/health%2f..%2fv1/models', '/ready/v1/models',
    '/v1/models/%2e%2e/%2e%2e/health',
    '/v1/models%00', '/v1/models/%00', '/metrics', '/v1/models?path=/health', '/./v1/models', '/%761/models'])
@pytest.mark.parametrize('method', ['GET', 'POST', 'HEAD', 'OPTIONS', 'PUT'])
def test_path_tricks_open_nothing(wrapper: 'Wrapper', path: str, method: str) -> None:
    assert wrapper.client.open(path, method=method).status_code == 401


def test_a_key_in_the_query_is_no_key(wrapper: 'Wrapper') -> None:
    assert wrapper.client.get(f'/v1/models?api_key={KEY}').status_code == 401


def test_other_methods_on_public_routes_need_a_key(wrapper: 'Wrapper') -> None:
    assert wrapper.client.post('/health').status_code == 401
    response = wrapper.client.post('/health', headers=AUTHORIZED)
    assert response.status_code == 405
    assert 'Perhaps you meant to use a different HTTP method' in str(error_of(response)['message'])


def test_draining_goes_before_keys(wrapper: 'Wrapper') -> None:
    wrapper.lifecycle.begin_drain()
    assert wrapper.client.get('/health').status_code == 200
    assert wrapper.client.get('/ready').status_code == 503
    assert wrapper.client.get('/v1/models', headers=AUTHORIZED).status_code == 503


def test_create_app_alone_has_no_guard() -> None:
    """So that the walk above is known to be able to fail."""
    assert create_app('x', Lifecycle()).test_client().get('/nowhere').status_code == 404
