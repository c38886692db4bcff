"""Old clients' addresses: what the backend is asked, what the client gets, and that they are there on demand only."""

import json
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.end_to_end.scripted_backend import (AUTHORIZED, Answer, Received, Upstream, chunk, completion, error_of,
                                               stream_head)
from wrapper_app import Policy

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.conftest import Wrapper

MakeWrapper: TypeAlias = 'Callable[..., Wrapper]'
OLD = Policy(has_compat=True)
PARIS = Answer('{"choices": [{"text": " Paris"}], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}')


@pytest.fixture
def client(make_wrapper: MakeWrapper, upstream: Upstream) -> 'FlaskClient':
    """A client of a wrapper with the addresses, in front of a backend that says Paris."""
    upstream.on_completion(PARIS)
    return make_wrapper(upstream.url, policy=OLD).client


def asked(upstream: Upstream) -> dict[str, object]:
    """Returns what the backend was asked, once."""
    [request] = upstream.completions()
    body: dict[str, object] = json.loads(request.body)
    return body


def streams(upstream: Upstream, *events: bytes) -> None:
    """Has the backend answer with these events, in as many pieces."""
    def send(sock: socket.socket, _: Received) -> None:
        sock.sendall(stream_head())
        for event in (*events, b''):
            sock.sendall(chunk(event))

    upstream.on_completion(send)


@pytest.mark.parametrize('base', ['', '/m/m'])
def test_completions_without_v1(client: 'FlaskClient', upstream: Upstream, base: str) -> None:
    response = client.post(f'{base}/completions', **completion(max_tokens=1))
    assert response.get_json()['choices'] == [{'text': ' Paris'}]
    assert asked(upstream) == {'model': 'm', 'prompt': 'Hello', 'max_tokens': 1}


def test_chat_and_embeddings_without_v1(client: 'FlaskClient', upstream: Upstream) -> None:
    upstream.scripts |= {'/v1/chat/completions': Answer('{"choices": []}'), '/v1/embeddings': Answer('{"data": []}')}
    messages = [{'role': 'user', 'content': 'Hi'}]
    chat = client.post('/chat/completions', json={'model': 'm', 'messages': messages}, headers=AUTHORIZED)
    embeddings = client.post('/embeddings', json={'model': 'm', 'input': 'Hi'}, headers=AUTHORIZED)
    assert (chat.get_json(), embeddings.get_json()) == ({'choices': []}, {'data': []})
    sent = {request.path: json.loads(request.body) for request in upstream.received if request.method == 'POST'}
    assert sent == {'/v1/chat/completions': {'model': 'm', 'messages': messages},
                    '/v1/embeddings': {'model': 'm', 'input': 'Hi'}}


def test_text_is_embedded_by_the_model_that_does(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    upstream.list_models({'id': 'm', 'status': 'ready', 'capabilities': ['echo']},
                         {'id': 'finder', 'status': 'ready', 'capabilities': ['embeddings']})
    upstream.on_completion(PARIS)
    upstream.scripts['/v1/embeddings'] = Answer('{"data": [{"embedding": [0.5, -1.0]}]}')
    client = make_wrapper(upstream.url, policy=OLD).client
    assert client.post('/embeddings', json={'text': 'Hi'}, headers=AUTHORIZED).get_json() == [0.5, -1.0]
    assert client.post('/generate', json={'prompt': 'Hi'}, headers=AUTHORIZED).get_json() == ' Paris'
    assert asked(upstream)['model'] == 'm'
    [request] = [request for request in upstream.received if request.path == '/v1/embeddings']
    assert json.loads(request.body) == {'model': 'finder', 'input': 'Hi'}
    upstream.scripts['/v1/embeddings'] = Answer('{"data": []}')
    response = client.post('/m/finder/embeddings', json={'text': 'Hi'}, headers=AUTHORIZED)
    assert response.status_code == 502 and 'no embedding' in str(error_of(response)['message'])
    wrong = client.post('/embeddings', json={'text': ['Hi']}, headers=AUTHORIZED)
    assert (wrong.status_code, error_of(wrong)['param']) == (400, 'text')


@pytest.mark.parametrize(('params', 'sent'), [
    (None, {'max_tokens': 300, 'temperature': 0.1}),
    ({}, {'max_tokens': 300, 'temperature': 0.1}),
    ({'n_predict': 5, 'temp': 0.8, 'repeat_penalty': 1.3, 'stop': [], 'n_ctx': 9},
     {'max_tokens': 5, 'temperature': 0.8, 'repetition_penalty': 1.3, 'stop': []}),
    ({'max_length': 7, 'max_new_tokens': 6, 'do_sample': True, 'top_k': 40, 'top_p': 0.95},
     {'max_tokens': 6, 'temperature': 1, 'top_k': 40, 'top_p': 0.95}),
    ({'max_length': 7, 'do_sample': False}, {'max_tokens': 7, 'temperature': 0}),
    ({'do_sample': True, 'temperature': 0.7}, {'max_tokens': 300, 'temperature': 0.7}),
    ({'max_tokens': 2, 'logprobs': None, 'suffix': None, 'echo': False},
     {'max_tokens': 2, 'temperature': 0.1, 'echo': False})])
def test_params_are_put_in_the_apis_terms(client: 'FlaskClient', upstream: Upstream,
                                          params: dict[str, object] | None, sent: dict[str, object]) -> None:
    response = client.post('/generate', json={'prompt': 'Hello', 'params': params}, headers=AUTHORIZED)
    assert response.get_json() == ' Paris' and response.mimetype == 'application/json'
    assert asked(upstream) == {'model': 'm', 'prompt': 'Hello', 'stream': False, **sent}


def test_stream_is_bare_text(client: 'FlaskClient', upstream: Upstream) -> None:
    streams(upstream, b': queue 2\n\n',
            b'data: {"choices": [{"text": " Paris"}]}\n\ndata: {"choices": [{"text": ""}]}\n\n',
            b'data: {"choices": [{"text": "\\n\\nQ: caf\\u00e9"}]}\r\n\r\n',
            b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\ndata: [DONE]\n\n')
    response = client.post('/agenerate', json={'prompt': 'Hello'}, headers=AUTHORIZED)
    assert response.mimetype == 'text/event-stream'
    assert response.get_data().decode() == ': queue 2\n\ndata:  Paris\n\ndata: \ndata: \ndata: Q: café\n\n'
    assert asked(upstream)['stream'] is True


@pytest.mark.parametrize(('last', 'said'), [
    (b'', 'broke off'), (b'data: {"choices": 1}\n\ndata: [DONE]\n\n', 'no completion'),
    (b'data: nonsense\n\ndata: [DONE]\n\n', 'no completion'),
    (b'data: {"error": {"message": "out of luck", "type": "t", "param": null, "code": null}}\n\n', 'out of luck')])
def test_stream_that_fails_ends_with_an_error(client: 'FlaskClient', upstream: Upstream, last: bytes,
                                              said: str) -> None:
    streams(upstream, b'data: {"choices": [{"text": "a"}]}\n\n', last)
    text = client.post('/agenerate', json={'prompt': 'Hello'}, headers=AUTHORIZED).get_data().decode()
    begin, _, error = text.partition('event: error\ndata: ')
    assert begin == 'data: a\n\n' and said in json.loads(error)['error']['message']


def test_stream_that_is_left_is_left_at_the_backend(client: 'FlaskClient', upstream: Upstream) -> None:
    def begin_and_wait(sock: socket.socket, _: Received) -> None:
        sock.sendall(stream_head() + chunk(b'data: {"choices": [{"text": "a"}]}\n\n'))
        upstream.wait_until_client_leaves(sock)

    upstream.on_completion(begin_and_wait)
    response = client.post('/agenerate', json={'prompt': 'Hello'}, headers=AUTHORIZED, buffered=False)
    assert next(iter(response.response)) == b'data: a\n\n'
    response.close()
    assert upstream.client_left.wait(5)


def test_model_is_named_where_several_are_ready(client: 'FlaskClient', make_wrapper: MakeWrapper,
                                                upstream: Upstream) -> None:
    upstream.list_models({'id': 'm', 'status': 'ready'}, {'id': 'org/n', 'status': 'ready'})
    client = make_wrapper(upstream.url, policy=OLD).client
    for path, body in (('/m/org/n/generate', {}), ('/m/org%2Fn/generate', {}), ('/generate', {'model': 'org/n'})):
        assert client.post(path, json={'prompt': 'a', **body}, headers=AUTHORIZED).get_json() == ' Paris'
    assert [json.loads(request.body)['model'] for request in upstream.completions()] == ['org/n'] * 3
    for path, body in (('/generate', {}), ('/m/m/generate', {'model': 'org/n'})):
        response = client.post(path, json={'prompt': 'a', **body}, headers=AUTHORIZED)
        assert (response.status_code, error_of(response)['param']) == (400, 'model')


def test_usage_is_counted(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    upstream.on_completion(PARIS)
    wrapper = make_wrapper(upstream.url, policy=OLD)
    wrapper.client.post('/generate', json={'prompt': 'Hello'}, headers=AUTHORIZED)
    usage = wrapper.client.get('/v1/usage', headers=AUTHORIZED).get_json()
    assert '"completion_tokens": 1' in json.dumps(usage)


@pytest.mark.parametrize(('body', 'status', 'param'), [
    ({}, 400, 'prompt'), ({'prompt': ['a']}, 400, 'prompt'), ({'prompt': 'a', 'params': []}, 400, 'params'),
    ({'prompt': 'a', 'params': {'temp': 9}}, 400, 'temperature'),
    ({'prompt': 'a', 'params': {'n_predict': -1}}, 400, 'max_tokens'),
    ({'prompt': 'a', 'params': {'stop': [1]}}, 400, 'stop'), ({'prompt': 'a', 'model': 'gone'}, 404, 'model')])
@pytest.mark.parametrize('path', ['/generate', '/agenerate'])
def test_refusals(client: 'FlaskClient', upstream: Upstream, path: str, body: dict[str, object], status: int,
                  param: str) -> None:
    response = client.post(path, json=body, headers=AUTHORIZED)
    assert (response.status_code, error_of(response)['param']) == (status, param)
    assert upstream.completions() == []


@pytest.mark.parametrize('path', ['/generate', '/agenerate'])
def test_backends_answers_that_are_none(client: 'FlaskClient', upstream: Upstream, path: str) -> None:
    upstream.on_completion(Answer('{"choices": null}'))
    response = client.post(path, json={'prompt': 'a'}, headers=AUTHORIZED)
    assert response.status_code == 502 and 'no completion' in str(error_of(response)['message'])
    upstream.on_completion(Answer('{"error": {"message": "no", "type": "t", "param": null, "code": null}}', 400))
    response = client.post(path, json={'prompt': 'a'}, headers=AUTHORIZED)
    assert (response.status_code, error_of(response)['message']) == (400, 'no')


@pytest.mark.parametrize('path', ['/completions', '/chat/completions', '/embeddings', '/generate', '/agenerate'])
def test_they_need_a_key_and_are_there_on_demand_only(make_wrapper: MakeWrapper, upstream: Upstream,
                                                      path: str) -> None:
    off, on = (make_wrapper(upstream.url, policy=policy).client for policy in (Policy(), OLD))
    assert on.post(path, json={'prompt': 'a'}).status_code == 401
    assert on.get(path, headers=AUTHORIZED).status_code == 405
    response = off.post(path, json={'prompt': 'a'}, headers=AUTHORIZED)
    assert response.status_code == 404 and 'Invalid URL' in str(error_of(response)['message'])
