"""Chats on their way through the wrapper: what the backend gets, what is counted, and other servers' own chats."""

import json
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

from sandle import sse
from sandle.chat_protocol import ChatRequest
from tests.end_to_end.scripted_backend import AUTHORIZED, Answer, Received, Upstream, chunk, error_of, stream_head
from wrapper_cost import ANSWER_TOKENS, estimate
from wrapper_usage import Usage

if TYPE_CHECKING:
    from tests.conftest import Wrapper

MakeWrapper: TypeAlias = 'Callable[..., Wrapper]'
PATH = '/v1/chat/completions'
HI = [{'role': 'user', 'content': 'Hi'}]
TOKEN = b'data: {"choices":[{"delta":{"content":"\\"choices\\":[],\\"usage\\":{}"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"total_tokens":5,"completion_tokens":2}}\n\n'


def request(**fields: object) -> dict[str, object]:
    """Returns the arguments of a test client's post for a chat."""
    return {'json': {'model': 'm', 'messages': HI, **fields}, 'headers': AUTHORIZED}


@pytest.fixture
def chatting(upstream: Upstream) -> Upstream:
    """A backend that answers chats."""
    upstream.list_models({'id': 'm', 'capabilities': ['chat']})
    answer = Answer('{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}')
    upstream.scripts |= {PATH: answer, f'{PATH}/render': Answer('{"prompt": "Hi", "tokens": []}')}
    return upstream


def sent(upstream: Upstream) -> dict[str, object]:
    """Returns the body of the last request that the backend got."""
    body: dict[str, object] = json.loads(upstream.received[-1].body)
    return body


@pytest.mark.parametrize('path', [PATH, f'{PATH}/render'])
@pytest.mark.parametrize('base', ['', '/m/m'])
def test_chat_is_passed_on_without_what_nobody_knows(make_wrapper: MakeWrapper, chatting: Upstream, base: str,
                                                     path: str) -> None:
    wrapper = make_wrapper(chatting.url)
    response = wrapper.client.post(base + path, **request(seed=None, unknown=1, tools=[], n=1))
    assert response.status_code == 200
    received = [each for each in chatting.received if each.path == path]
    assert [json.loads(each.body) for each in received] == [{'model': 'm', 'messages': HI, 'tools': [], 'n': 1}]


def test_chat_is_counted_and_rendering_costs_no_tokens(make_wrapper: MakeWrapper, chatting: Upstream) -> None:
    wrapper = make_wrapper(chatting.url)
    assert wrapper.client.post(f'{PATH}/render', **request(stream=True)).get_json()['prompt'] == 'Hi'
    wrapper.client.post(PATH, **request())
    [row] = wrapper.book.rows()
    assert (row.model, row.usage) == ('m', Usage(3, 4, requests=2))


@pytest.mark.parametrize(('body', 'status', 'param'), [
    ({'messages': []}, 400, 'messages'), ({'model': 'gone'}, 404, 'model'),
    ({'tool_choice': 'required'}, 400, 'tool_choice'),
    ({'chat_template_kwargs': {'chat_template': ''}}, 400, 'chat_template_kwargs')])
def test_refusals(make_wrapper: MakeWrapper, chatting: Upstream, body: dict[str, object], status: int,
                  param: str) -> None:
    client = make_wrapper(chatting.url).client
    response = client.post(PATH, **request(**body))
    assert (response.status_code, error_of(response)['param']) == (status, param)
    assert client.post(PATH, json={'model': 'm', 'messages': HI}).status_code == 401
    assert PATH not in [each.path for each in chatting.received]


@pytest.mark.parametrize(('fields', 'tokens'), [
    ({'max_tokens': 10}, 11), ({'max_completion_tokens': 20, 'max_tokens': 10, 'n': 2}, 41), ({}, 1 + ANSWER_TOKENS),
    ({'messages': HI * 3, 'max_tokens': 1}, 4), ({'messages': [{'role': 'user', 'content': [
        {'type': 'text', 'text': 'x' * 39}] * 2}], 'max_tokens': 1}, 21), ({'tools': [
            {'type': 'function', 'function': {'name': 'x', 'description': 'x' * 324}}], 'max_tokens': 1}, 102)])
def test_cost(fields: dict[str, object], tokens: int) -> None:
    assert estimate(ChatRequest.model_validate({'model': 'm', 'messages': HI, **fields})) == tokens


def describe(upstream: Upstream, *fields: str) -> None:
    """Makes of a backend a server that describes its chats, as FastAPI would, and lists no capabilities."""
    def takes(*names: str) -> dict[str, object]:
        schema = {'type': 'object', 'properties': {name: {} for name in names}}
        return {'post': {'requestBody': {'content': {'application/json': {'schema': schema}}}}}

    upstream.list_models({'id': 'm'})
    upstream.scripts['/ready'] = Answer('{}', status=404)
    upstream.scripts['/openapi.json'] = Answer(json.dumps({'paths': {
        '/v1/completions': takes('model', 'prompt', 'top_k'), **({PATH: takes(*fields)} if fields else {})}}))


def test_other_servers_chat_is_asked_in_its_terms(make_wrapper: MakeWrapper, chatting: Upstream) -> None:
    describe(chatting, 'model', 'messages', 'temperature', 'tools')
    client = make_wrapper(chatting.url).client
    assert 'chat' in client.get('/v1/models/m', headers=AUTHORIZED).get_json()['capabilities']
    assert client.post(PATH, **request(greedy_decoding=True, top_k=0, tools=[])).status_code == 200
    assert sent(chatting) == {'model': 'm', 'messages': HI, 'temperature': 0, 'tools': []}
    response = client.post(PATH, **request(top_k=5))
    assert (response.status_code, error_of(response)['param']) == (400, 'top_k')


def test_server_that_says_nothing_of_its_chat_is_asked_as_it_is(make_wrapper: MakeWrapper, chatting: Upstream) -> None:
    describe(chatting)
    client = make_wrapper(chatting.url).client
    assert 'chat' not in client.get('/v1/models/m', headers=AUTHORIZED).get_json()['capabilities']
    assert client.post(PATH, **request(top_k=5)).status_code == 200
    assert sent(chatting)['top_k'] == 5


@pytest.mark.parametrize('options', [None, {'include_usage': True}])
def test_other_servers_stream_tells_its_usage_to_who_wants_it(make_wrapper: MakeWrapper, chatting: Upstream,
                                                              options: dict[str, bool] | None) -> None:
    def script(sock: socket.socket, _: Received) -> None:
        sock.sendall(stream_head() + b''.join(map(chunk, (TOKEN, USAGE, sse.DONE, b''))))

    describe(chatting, 'model', 'messages', 'stream', 'stream_options')
    chatting.scripts[PATH] = script
    wrapper = make_wrapper(chatting.url)
    with wrapper.client.post(PATH, **request(stream=True, stream_options=options)) as response:
        body = response.data
    assert body == TOKEN + (b'' if options is None else USAGE) + sse.DONE
    assert sent(chatting)['stream_options'] == {'include_usage': True}
    [row] = wrapper.book.rows()
    assert row.usage == Usage(3, 2)
