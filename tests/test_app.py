"""Sandle's manners on every path: JSON errors with four keys, request ids, no redirect, no HTML."""

import json
from typing import Any

import flask
import flask.testing
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from sandle import app as http
from sandle import errors, log


@pytest.fixture
def lifecycle() -> http.Lifecycle:
    return http.Lifecycle()


@pytest.fixture
def app(lifecycle: http.Lifecycle) -> flask.Flask:
    app = http.create_app('test', lifecycle)

    def echo() -> dict[str, object]:
        return http.read_json()

    def fail() -> str:
        raise ZeroDivisionError('secret')

    def refuse() -> str:
        raise errors.RateLimitError('Slow down.', retry_after_s=7)

    def stream() -> flask.Response:
        return flask.Response(http.within_request(log.request_id.get().encode() for _ in range(3)))

    app.add_url_rule('/echo', view_func=echo, methods=['POST'])
    app.add_url_rule('/fail', view_func=fail)
    app.add_url_rule('/refuse', view_func=refuse)
    app.add_url_rule('/stream', view_func=stream)
    app.add_url_rule('/items/<path:name>', 'item', lambda name: {'name': name})
    return app


@pytest.fixture
def client(app: flask.Flask) -> flask.testing.FlaskClient:
    return app.test_client()


def error_of(response: Any) -> dict[str, Any]:
    assert response.content_type == 'application/json'
    assert response.headers['x-request-id'] and 'Location' not in response.headers
    body = response.get_json()
    assert body.keys() == {'error'} and body['error'].keys() == {'message', 'type', 'param', 'code'}
    error: dict[str, Any] = body['error']
    return error


def test_health(client: flask.testing.FlaskClient) -> None:
    response = client.get('/health')
    assert (response.status_code, response.get_json()) == (200, {'status': 'ok'})
    assert client.head('/health').status_code == 200 and client.head('/health').get_data() == b''


def test_unknown_path_is_a_404(client: flask.testing.FlaskClient) -> None:
    response = client.get('/nowhere')
    assert response.status_code == 404
    assert error_of(response) == {'message': 'Invalid URL (GET /nowhere)', 'type': 'invalid_request_error',
                                  'param': None, 'code': None}


@pytest.mark.parametrize(('method', 'path', 'allowed'), [
    ('GET', '/echo', 'POST'), ('HEAD', '/echo', 'POST'), ('OPTIONS', '/echo', 'POST'), ('PUT', '/echo', 'POST'),
    ('POST', '/health', 'GET, HEAD'), ('DELETE', '/health', 'GET, HEAD'), ('OPTIONS', '/health', 'GET, HEAD'),
    ('TRACE', '/health', 'GET, HEAD'), ('BREW', '/health', 'GET, HEAD')])
def test_wrong_method_is_a_405_that_names_the_right_ones(client: flask.testing.FlaskClient, method: str, path: str,
                                                         allowed: str) -> None:
    response = client.open(path, method=method)
    assert (response.status_code, response.headers['Allow']) == (405, allowed)
    if method != 'HEAD':
        assert error_of(response)['message'] == (
            f'Not allowed to {method} on {path} (HINT: Perhaps you meant to use a different HTTP method?)')


@pytest.mark.parametrize('content_type', ['', 'text/plain', 'application/x-www-form-urlencoded', 'application/jsonx',
                                          'multipart/form-data; boundary=x', 'application/json, text/plain', '\xff'])
def test_other_content_types_are_a_415(client: flask.testing.FlaskClient, content_type: str) -> None:
    response = client.post('/echo', data=b'{}', content_type=content_type)
    assert response.status_code == 415 and 'Content-Type' in error_of(response)['message']


@pytest.mark.parametrize('content_type', ['application/json', 'Application/JSON; charset=utf-8',
                                          'application/problem+json'])
def test_json_content_types_are_read(client: flask.testing.FlaskClient, content_type: str) -> None:
    response = client.post('/echo', data='{"b": 1, "a": "é"}'.encode(), content_type=content_type)
    assert response.status_code == 200 and list(response.get_json().items()) == [('b', 1), ('a', 'é')]


@pytest.mark.parametrize('body', [b'', b'{', b'[]', b'{"a": NaN}', b'\xff', b'{"a": "\\ud800"}'])
def test_bad_json_is_a_400(client: flask.testing.FlaskClient, body: bytes) -> None:
    response = client.post('/echo', data=body, content_type='application/json')
    assert response.status_code == 400 and error_of(response)['type'] == 'invalid_request_error'


def test_a_fault_of_ours_is_a_500_without_its_words(client: flask.testing.FlaskClient,
                                                    caplog: pytest.LogCaptureFixture) -> None:
    response = client.get('/fail', headers={'x-request-id': 'req-of-mine'})
    error = error_of(response)
    assert response.status_code == 500 and error['code'] == 'internal_error'
    assert 'secret' not in error['message'] and 'req-of-mine' in error['message']
    assert 'ZeroDivisionError: secret' in caplog.text


def test_an_api_error_is_its_response(client: flask.testing.FlaskClient) -> None:
    response = client.get('/refuse')
    assert (response.status_code, response.headers['Retry-After']) == (429, '7')
    assert error_of(response)['code'] == 'rate_limit_exceeded'


@pytest.mark.parametrize('claimed', ['abc', 'req-1.2_3:4', 'x' * 128])
def test_a_sane_request_id_is_kept(client: flask.testing.FlaskClient, claimed: str) -> None:
    for path in ('/health', '/nowhere', '/stream'):
        assert client.get(path, headers={'X-Request-ID': claimed}).headers['x-request-id'] == claimed


@pytest.mark.parametrize('claimed', ['', ' ', 'a b', 'x' * 129, 'é', 'a"b', '<script>', 'a;b', '../x'])
def test_any_other_request_id_is_replaced(client: flask.testing.FlaskClient, claimed: str) -> None:
    ids = {client.get('/health', headers={'x-request-id': claimed}).headers['x-request-id'] for _ in range(2)}
    assert len(ids) == 2 and all(http.SANE_REQUEST_ID.fullmatch(number) for number in ids)


def test_a_streamed_body_has_its_requests_id(app: flask.Flask) -> None:
    environ = EnvironBuilder(path='/stream', headers=[('x-request-id', 'abc')]).get_environ()
    body = app.wsgi_app(environ, lambda *args: lambda data: None)
    app.test_client().get('/health', headers={'x-request-id': 'other'})
    assert list(body) == [b'abc'] * 3
    body.close()  # type: ignore[attr-defined]  # WSGI's way: it is there if the body needs it


TRICKS = ['/health//', '/./health', '/x/../health', '/%2e%2e/health', '/health%00', '/health;x', '/health%2f%2f',
          '/HEALTH', '/items', '/items/', '/items//x', '/%ff', '/\u2028', '/<b>', '/' + 'x' * 5000,
          '/%0d%0aX-Injected:%201', '/.//echo']


@pytest.mark.parametrize('path', TRICKS)
@pytest.mark.parametrize('method', ['GET', 'POST'])
def test_path_tricks_are_a_404_in_json(client: flask.testing.FlaskClient, method: str, path: str) -> None:
    response = client.open(path, method=method, data=b'{}', content_type='application/json')
    assert response.status_code == 404
    assert error_of(response)['message'].startswith(f'Invalid URL ({method} /')
    assert 'X-Injected' not in response.headers


def test_a_slash_at_the_end_makes_no_difference(client: flask.testing.FlaskClient) -> None:
    assert client.get('/health/').get_json() == {'status': 'ok'}
    assert client.post('/health/').status_code == 405


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.text().map('/'.__add__), method=st.sampled_from(['GET', 'POST', 'PUT', 'OPTIONS']))
def test_no_path_redirects_or_fails(client: flask.testing.FlaskClient, path: str, method: str) -> None:
    response = client.open(path, method=method, base_url='http://localhost')
    assert response.status_code in (200, 404, 405, 415) and response.content_type == 'application/json'


@pytest.mark.parametrize('host', ['evil.example', '', 'a b', '<script>', '[::1', 'x' * 1000, 'a/b', 'localhost:99999',
                                  'http://x', 'é', '..'])
def test_a_hostile_host_gets_json_and_no_redirect(client: flask.testing.FlaskClient, host: str) -> None:
    for path in ('/health', '/health/', '/nowhere', '/items/x'):
        response = client.get(path, headers={'Host': host})
        assert response.status_code in (200, 400, 404) and response.content_type == 'application/json'
        assert 'Location' not in response.headers and response.headers['x-request-id']
        if response.status_code != 200:
            error_of(response)


def test_slashes_in_a_name_may_be_escaped(client: flask.testing.FlaskClient) -> None:
    assert client.get('/items/a%2Fb').get_json() == client.get('/items/a/b').get_json() == {'name': 'a/b'}


def test_draining_refuses_all_but_the_probes(client: flask.testing.FlaskClient, lifecycle: http.Lifecycle) -> None:
    lifecycle.begin_drain()
    for path in ('/items/x', '/nowhere', '/fail'):
        response = client.get(path)
        assert (response.status_code, response.headers['Retry-After']) == (503, '5')
        assert error_of(response)['code'] == 'shutting_down'
    assert client.get('/health').status_code == 200
    assert lifecycle.wait_until_idle(0)


def test_requests_are_counted_until_their_last_byte(client: flask.testing.FlaskClient,
                                                    lifecycle: http.Lifecycle) -> None:
    for path in ('/items/x', '/nowhere', '/fail', '/refuse', '/echo'):
        client.get(path, buffered=True)
        assert lifecycle.wait_until_idle(0), path
    response = client.get('/stream', buffered=False)
    assert not lifecycle.wait_until_idle(0)
    next(iter(response.response))
    assert not lifecycle.wait_until_idle(0)
    response.close()
    assert lifecycle.wait_until_idle(0)


def test_error_bodies_are_json_of_any_text(client: flask.testing.FlaskClient) -> None:
    response = client.get('/%22%5C%0a\u2028')
    assert json.loads(response.get_data())['error']['message'] == 'Invalid URL (GET /"\\\n\u2028)'
