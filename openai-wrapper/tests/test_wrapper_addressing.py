"""The tokenizer's addresses and /m/{model}: which model is meant, and what its backend gets."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.end_to_end.scripted_backend import AUTHORIZED, Answer, Received, Upstream, error_of
from wrapper_app import Policy

if TYPE_CHECKING:
    from tests.conftest import Wrapper

MakeWrapper: TypeAlias = 'Callable[..., Wrapper]'
ABSOLUTE = '/models/one'
POLLED = {'/v1/models', '/ready', '/openapi.json'}


@pytest.fixture
def backend(upstream: Upstream) -> Upstream:
    """A backend with a model whose id is a folder, ready, and one that is not."""
    upstream.list_models({'id': ABSOLUTE, 'status': 'ready'}, {'id': 'two', 'status': 'available'})
    upstream.scripts |= {
        '/tokenize': Answer('{"tokens": [1]}'), '/detokenize': Answer('{"prompt": "a"}'),
        '/tokenizer_info?model=%2Fmodels%2Fone': Answer('{"eos_token": "</s>"}'),
        '/v1/completions': Answer('{"choices": []}')}
    return upstream


def got(upstream: Upstream) -> Received:
    """Returns the one request that was no poll."""
    [request] = [request for request in upstream.received if request.path not in POLLED]
    return request


@pytest.mark.parametrize('base', ['', f'/m/{ABSOLUTE}', '/m/%2Fmodels%2Fone'])
@pytest.mark.parametrize(('path', 'sent'), [
    ('/tokenize', {'prompt': 'a', 'add_special_tokens': False}), ('/detokenize', {'tokens': [1]})])
def test_tokens_are_the_backends_affair(make_wrapper: MakeWrapper, backend: Upstream, base: str, path: str,
                                        sent: dict[str, object]) -> None:
    client = make_wrapper(backend.url, policy=Policy(is_key_user=True)).client
    response = client.post(base + path, json={**sent, 'unknown': 1}, headers=AUTHORIZED)
    assert response.status_code == 200 and response.get_json() in ({'tokens': [1]}, {'prompt': 'a'})
    request = got(backend)
    assert (request.method, request.path) == ('POST', path)
    assert json.loads(request.body) == {**sent, 'model': ABSOLUTE}


@pytest.mark.parametrize('address', ['/tokenizer_info', f'/tokenizer_info?model={ABSOLUTE}',
                                     f'/m/{ABSOLUTE}/tokenizer_info', '/m/%2Fmodels%2Fone/tokenizer_info'])
def test_tokenizer_info_comes_from_the_backend(make_wrapper: MakeWrapper, backend: Upstream, address: str) -> None:
    response = make_wrapper(backend.url).client.get(
        address, headers={**AUTHORIZED, 'x-request-id': 'mine'})
    assert response.get_json() == {'eos_token': '</s>'}
    request = got(backend)
    assert (request.method, request.headers['x-request-id'], request.body) == ('GET', 'mine', b'')
    assert 'content-type' not in request.headers


def test_completion_of_the_model_in_the_address(make_wrapper: MakeWrapper, backend: Upstream) -> None:
    client = make_wrapper(backend.url).client
    assert client.post(f'/m/{ABSOLUTE}/v1/completions', json={'prompt': 'a'}, headers=AUTHORIZED).status_code == 200
    assert json.loads(got(backend).body) == {'prompt': 'a', 'model': ABSOLUTE}


@pytest.mark.parametrize('path', [ABSOLUTE, '%2Fmodels%2Fone'])
def test_model_whose_id_begins_with_a_slash_is_described(make_wrapper: MakeWrapper, backend: Upstream,
                                                         path: str) -> None:
    response = make_wrapper(backend.url).client.get(f'/v1/models/{path}', headers=AUTHORIZED)
    assert response.get_json()['id'] == ABSOLUTE


@pytest.mark.parametrize(('method', 'path', 'body', 'status', 'param'), [
    ('POST', '/m/two/tokenize', {'model': ABSOLUTE, 'prompt': ''}, 400, 'model'),
    ('POST', '/tokenize', {'prompt': ['']}, 400, 'prompt'), ('POST', '/detokenize', {'tokens': [-1]}, 400, 'tokens'),
    ('POST', '/tokenize', {'model': 'gone', 'prompt': ''}, 404, 'model'),
    ('POST', '/m/gone/v1/completions', {}, 404, 'model'), ('GET', '/m/gone/tokenizer_info', None, 404, 'model'),
    ('GET', '/tokenize', None, 405, None), ('POST', '/tokenizer_info', {}, 405, None)])
def test_refusals_reach_no_backend(make_wrapper: MakeWrapper, backend: Upstream, method: str, path: str,
                                   body: dict[str, object] | None, status: int, param: str | None) -> None:
    response = make_wrapper(backend.url).client.open(path, method=method, json=body, headers=AUTHORIZED)
    assert (response.status_code, error_of(response)['param']) == (status, param)
    assert {request.path for request in backend.received} <= POLLED


def test_several_ready_models_need_a_name(make_wrapper: MakeWrapper, backend: Upstream,
                                          make_upstream: Callable[[], Upstream]) -> None:
    other = make_upstream()
    other.list_models({'id': 'three', 'status': 'ready'})
    both = make_wrapper(backend.url, other.url).client.get('/tokenizer_info', headers=AUTHORIZED)
    assert (both.status_code, error_of(both)['param']) == (400, 'model')
    one = make_wrapper(backend.url, other.url, allowed=frozenset({ABSOLUTE})).client
    assert one.get('/tokenizer_info', headers=AUTHORIZED).status_code == 200


@pytest.mark.parametrize('path', ['/tokenize', '/detokenize', '/tokenizer_info', '/m/m/tokenize', '/m/m/detokenize',
                                  '/m/m/tokenizer_info', '/m/m/v1/completions'])
def test_a_key_is_needed(make_wrapper: MakeWrapper, backend: Upstream, path: str) -> None:
    for method in ('GET', 'POST'):
        assert make_wrapper(backend.url).client.open(path, method=method).status_code == 401


def test_backend_that_has_no_tokenizer_to_ask(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    """As OpenAI's own server answers."""
    upstream.scripts['/tokenize'] = Answer('<h1>no</h1>', 404, 'text/html')
    response = make_wrapper(upstream.url).client.post('/tokenize', json={'prompt': ''}, headers=AUTHORIZED)
    assert response.status_code == 404 and 'refused' in str(error_of(response)['message'])
