"""Servers that list no capabilities and describe themselves: what their models are said to have, and what they get."""

import json
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandle import errors, sse
from sandle.protocol import CompletionRequest
from tests.end_to_end.scripted_backend import (AUTHORIZED, Answer, Received, Upstream, chunk, completion, error_of,
                                               stream_head, wait_for)
from wrapper_app import Policy
from wrapper_dialect import Dialect, Request, read_dialect
from wrapper_listing import OPENAI_CAPABILITIES
from wrapper_usage import Usage

if TYPE_CHECKING:
    from tests.conftest import Wrapper

MakeWrapper: TypeAlias = 'Callable[..., Wrapper]'
FIELDS = ('model', 'prompt', 'max_tokens', 'temperature', 'top_p', 'n', 'stream', 'stream_options', 'logprobs', 'echo',
          'stop', 'seed', 'suffix', 'user', 'top_k', 'min_p', 'return_token_ids', 'something_else')


def description(*fields: str, is_referred: bool = True) -> dict[str, object]:
    """Describes a server whose completions take these fields, as FastAPI would."""
    schema = {'type': 'object', 'properties': {name: {} for name in fields}}
    return {
        'openapi': '3.1.0', 'components': {'schemas': {'Request': schema}},
        'paths': {'/tokenize': {}, '/detokenize': {}, '/v1/completions': {'post': {'requestBody': {'content': {
            'application/json': {'schema': {'$ref': '#/components/schemas/Request'} if is_referred else schema}}}}}}}


@pytest.fixture
def foreign(upstream: Upstream) -> Upstream:
    """A server that describes itself, with a model of no capabilities that it tells."""
    upstream.scripts['/openapi.json'] = Answer(json.dumps(description(*FIELDS)))
    upstream.scripts['/ready'] = Answer('{}', status=404)
    upstream.on_completion(Answer('{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}'))
    return upstream


def sent(upstream: Upstream) -> dict[str, object]:
    """Returns the body of the last completion request that the backend got."""
    body: dict[str, object] = json.loads(upstream.completions()[-1].body)
    return body


@pytest.mark.parametrize('is_referred', [True, False])
def test_description_tells_the_capabilities(make_wrapper: MakeWrapper, foreign: Upstream, is_referred: bool) -> None:
    """But not of `suffix` and `return_token_ids`, which are named the same and not alike."""
    foreign.scripts['/openapi.json'] = Answer(json.dumps(description(*FIELDS, is_referred=is_referred)))
    model = make_wrapper(foreign.url).client.get('/v1/models/m', headers=AUTHORIZED).get_json()
    assert model['capabilities'] == ['echo', 'logprobs', 'min_p', 'n', 'seed', 'tokenize', 'top_k']


def test_description_is_asked_for_once(make_wrapper: MakeWrapper, foreign: Upstream) -> None:
    wrapper = make_wrapper(foreign.url)
    wrapper.client.get('/v1/models', headers=AUTHORIZED)
    polled = len(foreign.received)
    wrapper.registry.poll_soon()
    assert wait_for(lambda: len(foreign.received) > polled)
    assert [request.path for request in foreign.received].count('/openapi.json') == 1


def test_slow_description_delays_nothing(make_wrapper: MakeWrapper, foreign: Upstream) -> None:
    """FastAPI takes a second to write a large one for the first time, a busy machine many."""
    answer, may_go_on = foreign.scripts['/openapi.json'], threading.Event()

    def be_slow(_: socket.socket, __: Received) -> None:
        may_go_on.wait(10)
        foreign.scripts['/openapi.json'] = answer  # and this connection ends without one

    foreign.scripts['/openapi.json'] = be_slow
    wrapper = make_wrapper(foreign.url)
    assert wrapper.client.post('/v1/completions', **completion(typical_p=0.5)).status_code == 200
    assert wrapper.client.get('/ready').status_code == 200
    may_go_on.set()
    assert wait_for(lambda: wrapper.client.post('/v1/completions', **completion(typical_p=0.5)).status_code == 400)


def test_server_that_lists_capabilities_is_not_asked(make_wrapper: MakeWrapper, foreign: Upstream) -> None:
    foreign.list_models({'id': 'm', 'capabilities': ['n']})
    wrapper = make_wrapper(foreign.url)
    assert wrapper.client.post('/v1/completions', **completion(stream_batch_size=4)).status_code == 200
    assert sent(foreign)['stream_batch_size'] == 4
    assert '/openapi.json' not in [request.path for request in foreign.received]


@pytest.mark.parametrize('answer', [
    Answer('<html>', content_type='text/html'), Answer('{}'), Answer('{"paths": []}'), Answer('[' * 100_000),
    Answer(json.dumps(description()))])
def test_description_of_nothing_leaves_the_request_alone(make_wrapper: MakeWrapper, foreign: Upstream,
                                                         answer: Answer) -> None:
    foreign.scripts['/openapi.json'] = answer
    wrapper = make_wrapper(foreign.url)
    model = wrapper.client.get('/v1/models/m', headers=AUTHORIZED).get_json()
    assert model['capabilities'] == OPENAI_CAPABILITIES
    assert wrapper.client.post('/v1/completions', **completion(typical_p=0.5)).status_code == 200
    assert sent(foreign)['typical_p'] == 0.5


@pytest.mark.parametrize('name, value', [
    ('best_of', 2), ('typical_p', 0.5), ('frequency_penalty', 1), ('logit_bias', {'1': 2}), ('ignore_eos', True)])
def test_field_that_a_server_does_not_take_is_refused_by_name(make_wrapper: MakeWrapper, foreign: Upstream, name: str,
                                                              value: object) -> None:
    """It would have been left out without a word."""
    response = make_wrapper(foreign.url).client.post('/v1/completions', **completion(**{name: value}))
    assert response.status_code == 400
    assert {'code': 'unsupported_parameter', 'param': name}.items() <= error_of(response).items()
    assert foreign.completions() == []


def test_operator_may_know_better(make_wrapper: MakeWrapper, foreign: Upstream) -> None:
    policy = Policy(pass_fields=frozenset({'typical_p'}))
    response = make_wrapper(foreign.url, policy=policy).client.post('/v1/completions', **completion(typical_p=0.5))
    assert response.status_code == 200 and sent(foreign)['typical_p'] == 0.5


@pytest.mark.parametrize('given_fields, expected', [
    ({'greedy_decoding': True, 'temperature': 1}, {'temperature': 0}),
    ({'greedy_decoding': False, 'stream_batch_size': 5, 'best_of': 1, 'typical_p': 1.0, 'logit_bias': {}}, {}),
    ({'top_p': 0}, {}),
    ({'stop': ['.', '']}, {'stop': ['.']}),
    ({'top_p': 0.5, 'top_k': 0}, {'top_p': 0.5, 'top_k': 0}),
    ({'suffix': 'b', 'return_token_ids': True}, {'suffix': 'b', 'return_token_ids': True}),
    ({'stream': False}, {'stream': False}),
])
def test_request_is_put_in_the_servers_terms(make_wrapper: MakeWrapper, foreign: Upstream,
                                             given_fields: dict[str, object], expected: dict[str, object]) -> None:
    response = make_wrapper(foreign.url).client.post('/v1/completions', **completion(**given_fields))
    assert response.status_code == 200
    assert sent(foreign) == {'model': 'm', 'prompt': 'Hello', **expected}


TOKEN = b'data: {"choices":[{"text":"\\"choices\\":[],\\"usage\\":{}"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"total_tokens":5,"completion_tokens":2}}\n\n'


@pytest.mark.parametrize('pieces', [[TOKEN, TOKEN, USAGE, sse.DONE], [TOKEN + TOKEN + USAGE + sse.DONE]])
@pytest.mark.parametrize('options', [None, {'include_usage': False}, {'include_usage': True}])
def test_stream_is_asked_for_its_usage_and_tells_it_to_who_wants_it(
        make_wrapper: MakeWrapper, foreign: Upstream, pieces: list[bytes], options: dict[str, bool] | None) -> None:
    def script(sock: socket.socket, _: Received) -> None:
        sock.sendall(stream_head() + b''.join(map(chunk, pieces)) + chunk(b''))

    foreign.on_completion(script)
    wrapper = make_wrapper(foreign.url)
    with wrapper.client.post('/v1/completions', **completion(stream=True, stream_options=options)) as response:
        body = response.data
    is_wanted = options is not None and options['include_usage']
    assert body == TOKEN + TOKEN + (USAGE if is_wanted else b'') + sse.DONE
    assert sent(foreign)['stream_options'] == {'include_usage': True}
    [row] = wrapper.book.rows()
    assert row.usage == Usage(3, 2)


def test_server_that_knows_no_stream_options_is_not_asked(make_wrapper: MakeWrapper, foreign: Upstream) -> None:
    foreign.scripts['/openapi.json'] = Answer(json.dumps(description('model', 'prompt', 'stream')))
    make_wrapper(foreign.url).client.post('/v1/completions', **completion(stream=True))
    assert 'stream_options' not in sent(foreign)


json_values = st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner, max_size=2)
                           | st.dictionaries(st.sampled_from(['paths', 'post', 'schema', '$ref', 'properties']), inner))


@given(st.dictionaries(st.sampled_from(['paths', 'components']), json_values))
def test_any_description_is_read(given_description: dict[str, object]) -> None:
    assert read_dialect(given_description) is None


@given(st.sets(st.sampled_from(sorted(CompletionRequest.model_fields))), st.fixed_dictionaries({}, optional={
    'best_of': st.integers(1, 2), 'typical_p': st.sampled_from([0.5, 1.0]), 'greedy_decoding': st.booleans(),
    'n': st.just(1), 'top_p': st.sampled_from([0, 0.5, 1]), 'user': st.text(), 'logit_bias': st.just({})}))
def test_server_gets_only_what_it_takes(fields: set[str], optional: dict[str, object]) -> None:
    dialect = Dialect(frozenset(fields | {'model', 'prompt', 'temperature'}), False)
    given_fields = {'model': 'm', 'prompt': 'Hello', **optional}
    try:
        body = json.loads(Request(given_fields, CompletionRequest.model_validate(given_fields)).body(dialect))
    except errors.UnsupportedParameterError as error:
        assert error.param not in dialect.fields and error.param in optional
    else:
        assert body.keys() <= dialect.fields
