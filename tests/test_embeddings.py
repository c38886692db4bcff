"""POST /v1/embeddings over a scripted embedder, through Flask's test client."""

import base64
import logging
import math
import struct
from array import array
from collections.abc import Sequence
from typing import Any

import pytest

from sandle import app as http
from sandle import endpoints, errors
from sandle.sampling_request import CompletionLimits
from sandle.embeddings import shortened, to_base64
from sandle.engine_with_embedder import EngineWithEmbedder
from tests.scripted_embedder import ScriptedEmbedder, Step
from tests.scripted_engine import ScriptedEngine

TWO: list[Step] = [None, [[3.0, 4.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5]]]
ONE: list[Step] = [[[3.0, 4.0, 0.0, 12.0]]]


class Backend:
    """An application over a scripted engine and a scripted embedder, with a client that can leave."""

    def __init__(self, steps: Sequence[Step] = ONE, **options: Any) -> None:
        self.embedder = ScriptedEmbedder(steps, **options)
        self.engine = ScriptedEngine()
        self.is_gone = False
        lifecycle = http.Lifecycle()
        app = http.create_app('test', lifecycle)
        endpoints.add_routes(app, EngineWithEmbedder(self.engine, self.embedder), lifecycle, CompletionLimits(),
                             self.embedder)
        self.client = app.test_client()

    def post(self, path: str = '/v1/embeddings', headers: dict[str, str] | None = None, **fields: object) -> Any:
        """Sends a request for embeddings."""
        body = {'model': 'finder', 'input': 'x', **fields}
        return self.client.post(path, json=body, headers=headers,
                                environ_overrides={'waitress.client_disconnected': lambda: self.is_gone})


def error_of(response: Any) -> dict[str, Any]:
    error: dict[str, Any] = response.get_json()['error']
    assert error.keys() == {'message', 'type', 'param', 'code'}
    return error


def test_vectors_come_in_the_order_of_the_texts_with_their_usage() -> None:
    answer = Backend(TWO).post(input=['a', 'b']).get_json()
    assert answer == {
        'object': 'list', 'model': 'finder', 'usage': {'prompt_tokens': 7, 'total_tokens': 7}, 'data': [
            {'object': 'embedding', 'index': 0, 'embedding': [3.0, 4.0, 0.0, 0.0]},
            {'object': 'embedding', 'index': 1, 'embedding': [0.5, 0.5, 0.5, 0.5]}]}


@pytest.mark.parametrize(('given', 'texts'), [
    ('a', ('a',)), (['a', 'b'], ('a', 'b')), ([1, 2], ((1, 2),)), ([[1, 2], [3]], ((1, 2), (3,)))])
def test_every_form_of_input(given: object, texts: object) -> None:
    backend = Backend()
    assert backend.post(input=given, user='someone', prompt_name='query', truncate_prompt_tokens=-1,
                        unknown=1).status_code == 200
    [asked] = backend.embedder.requests
    assert (asked.texts, asked.prompt_name, asked.max_tokens, asked.user) == (texts, 'query', -1, 'someone')


def test_the_key_takes_the_turn_of_its_user() -> None:
    backend = Backend()
    backend.post(user='someone', headers={http.KEY_HEADER: 'alice'})
    assert backend.embedder.requests[0].user == 'alice'


@pytest.mark.parametrize(('fields', 'param'), [
    ({'input': ''}, 'input'), ({'input': []}, 'input'), ({'input': [[]]}, 'input'), ({'input': ['a', '']}, 'input'),
    ({'input': None}, 'input'), ({'input': ['a', 1]}, 'input'), ({'input': [1.5]}, 'input'), ({'input': [-1]}, 'input'),
    ({'input': ['a'] * 2049}, 'input'), ({'input': {}}, 'input'), ({'encoding_format': 'int8'}, 'encoding_format'),
    ({'dimensions': 0}, 'dimensions'), ({'dimensions': 5}, 'dimensions'), ({'dimensions': '4'}, 'dimensions'),
    ({'truncate_prompt_tokens': 0}, 'truncate_prompt_tokens'), ({'model': ''}, 'model'), ({'user': 5}, 'user'),
    ({'truncate_prompt_tokens': -2}, 'truncate_prompt_tokens')])
def test_what_is_wrong_is_a_400_that_names_the_field(fields: dict[str, Any], param: str) -> None:
    response = Backend().post(**fields)
    assert response.status_code == 400
    assert error_of(response)['param'] == param
    assert error_of(response)['message'].startswith(param)


def test_no_input_is_a_400() -> None:
    response = Backend().client.post('/v1/embeddings', json={'model': 'finder'})
    assert response.status_code == 400 and error_of(response)['message'] == 'input is required.'


def test_base64_is_of_float32s() -> None:
    [item] = Backend().post(encoding_format='base64').get_json()['data']
    assert struct.unpack('<4f', base64.b64decode(item['embedding'])) == (3.0, 4.0, 0.0, 12.0)
    assert base64.b64decode(to_base64(array('f', [1.0]))) == b'\x00\x00\x80\x3f'


def test_dimensions_shorten_and_scale_to_length_1() -> None:
    [item] = Backend().post(dimensions=2).get_json()['data']
    assert item['embedding'] == pytest.approx([0.6, 0.8])
    assert Backend().post(dimensions=4).get_json()['data'][0]['embedding'] == [3.0, 4.0, 0.0, 12.0]
    assert shortened(array('f', [0.0, 0.0, 1.0]), 2).tolist() == [0.0, 0.0]  # nothing to scale
    many = shortened(array('f', range(1, 400)), 300)
    assert math.isclose(sum(number * number for number in many), 1.0, rel_tol=1e-6)


def test_each_kind_of_model_tells_where_it_is_asked() -> None:
    backend = Backend()
    response = backend.post(model='org/model')
    assert response.status_code == 400 and error_of(response)['param'] == 'model'
    assert 'makes no embeddings' in error_of(response)['message']
    response = backend.client.post('/v1/completions', json={'model': 'finder', 'prompt': 'x'})
    assert response.status_code == 400 and error_of(response)['param'] == 'model'
    assert '/v1/embeddings' in error_of(response)['message']
    assert backend.post(model='nobody').status_code == 404
    assert error_of(backend.post(model='nobody'))['code'] == 'model_not_found'


def test_the_address_may_name_the_model() -> None:
    backend = Backend()
    assert backend.client.post('/m/finder/v1/embeddings', json={'input': 'x'}).status_code == 200
    assert backend.post('/m/other/v1/embeddings').status_code == 400


def test_a_refusal_is_the_embedders() -> None:
    response = Backend(refusal=errors.QueueFullError('Full.', retry_after_s=1)).post()
    assert (response.status_code, response.headers['Retry-After']) == (503, '1')


def test_a_failure_is_told_and_ends_the_request() -> None:
    backend = Backend([errors.InternalError('The model failed.')])
    assert backend.post().status_code == 500
    assert backend.embedder.handles[0].cancelled == 1


def test_a_client_that_leaves_ends_its_request_and_what_it_used_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    backend = Backend([None])
    backend.is_gone = True
    with caplog.at_level(logging.INFO):
        assert backend.post(headers={http.USAGE_HEADER: 'left'}).status_code == 499
    assert backend.embedder.handles[0].cancelled == 1
    assert backend.client.get('/internal/usage/left').get_json()['prompt_tokens'] == 3
    [line] = [record.getMessage() for record in caplog.records if record.getMessage().startswith('embeddings ')]
    assert 'reason=client_disconnected' in line and 'prompt_tokens=3' in line


def test_a_backend_without_an_embedder_says_that_its_models_write_text() -> None:
    lifecycle = http.Lifecycle()
    app = http.create_app('test', lifecycle)
    endpoints.add_routes(app, ScriptedEngine(), lifecycle, CompletionLimits())
    client = app.test_client()
    assert client.post('/v1/embeddings', json={'model': 'org/model', 'input': 'x'}).status_code == 400
    assert client.post('/v1/embeddings', json={'model': 'nobody', 'input': 'x'}).status_code == 404
