"""Tools, answers of a shape and vectors through the wrapper: what comes back, what it costs, and who may ask for it."""

import base64
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.rig import KEY, STUB, WRAPPER, Client, Server, error_of, events_of, manage_keys, serve, wait_for

CHAT = '/v1/chat/completions'
WEATHER = {'type': 'object', 'properties': {'city': {'type': 'string', 'maxLength': 9}, 'days': {'enum': [1, 2]}},
           'required': ['city', 'days'], 'additionalProperties': False}
MESSAGES = [{'role': 'user', 'content': 'What is the weather in Oslo?'}]
CALLED: dict[str, Any] = {'messages': MESSAGES, 'parallel_tool_calls': False, 'tool_choice': 'required', 'tools': [
    {'type': 'function', 'function': {'name': 'weather', 'parameters': WEATHER}}]}
SHAPED: dict[str, Any] = {'messages': MESSAGES, 'response_format': {
    'type': 'json_schema', 'json_schema': {'name': 'weather', 'schema': WEATHER}}}


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wrapper's folder."""
    return tmp_path_factory.mktemp('state')


@pytest.fixture(scope='module')
def faulty() -> Iterator[Server]:
    """A stub that writes, and fails on command."""
    with serve(STUB, '--faults', '--model', 'stub') as server:
        yield server


@pytest.fixture(scope='module')
def gateway(faulty: Server, folder: Path) -> Iterator[Server]:
    """A wrapper in front of it, and of one that makes vectors and writes as another model."""
    with (serve(STUB, '--model', 'second', '--embedding-model', 'finder') as other,
          serve(WRAPPER, '--backend-stub', faulty.url, '--backend', other.url, '-t', KEY, '--state-dir', str(folder)
                ) as server):
        yield server


@pytest.fixture
def api(gateway: Server, client_of: Callable[..., Client]) -> Client:
    """A client with a key that may do everything."""
    return client_of(gateway)


@pytest.fixture
def holder(gateway: Server, folder: Path, client_of: Callable[..., Client]) -> Callable[..., Client]:
    """Returns a function that makes a client with a key of that name and those limits."""
    def make(name: str, *limits: str) -> Client:
        client = client_of(gateway, manage_keys(folder, 'create', '--name', name, *limits))
        wait_for(lambda: client.get('/v1/usage').status_code == 200)
        return client
    return make


def stream_of(response: requests.Response) -> list[Any]:
    """Returns the only choices of a stream's events, which must have ended well."""
    assert response.status_code == 200 and response.content.endswith(b'data: [DONE]\n\n'), response.text
    events: list[Any] = list(events_of(response.content))
    return [event['choices'][0] for event in events if event['choices']]


@pytest.mark.parametrize('model', ['stub', 'second'])
def test_a_call_comes_whole_and_in_pieces(api: Client, model: str) -> None:
    """From either backend, by the body and by the address."""
    [whole] = api.post(CHAT, json={'model': model, **CALLED}).json()['choices']
    assert whole['finish_reason'] == 'tool_calls' and whole['message']['content'] is None
    [call] = whole['message']['tool_calls']
    jsonschema_rs.validate(WEATHER, json.loads(call['function']['arguments']))
    choices = stream_of(api.post(f'/m/{model}{CHAT}', json={**CALLED, 'stream': True}))
    pieces = [piece for choice in choices for piece in choice['delta'].get('tool_calls', ())]
    assert ''.join(piece['function']['arguments'] for piece in pieces) == call['function']['arguments']
    assert pieces[0]['function']['name'] == 'weather' and choices[-1]['finish_reason'] == 'tool_calls'


@pytest.mark.parametrize('path', [CHAT, '/v1/completions'])
@pytest.mark.parametrize('wanted', [SHAPED['response_format'], {'type': 'json_object'}], ids=lambda each: each['type'])
def test_an_answer_of_a_shape(api: Client, path: str, wanted: dict[str, object]) -> None:
    body = {'model': 'stub', 'response_format': wanted, 'max_tokens': 200,
            **({'prompt': 'x'} if path != CHAT else {'messages': MESSAGES})}
    [whole] = api.post(path, json=body).json()['choices']
    text = whole['message']['content'] if path == CHAT else whole['text']
    jsonschema_rs.validate(WEATHER if wanted['type'] == 'json_schema' else {'type': 'object'}, json.loads(text))
    choices = stream_of(api.post(path, json={**body, 'stream': True}))
    assert ''.join(each['delta'].get('content', '') if path == CHAT else each['text'] for each in choices) == text


@pytest.mark.parametrize(('fields', 'param', 'said'), [
    ({**SHAPED, 'response_format': {'type': 'json_schema', 'json_schema': {'name': 'x', 'schema': {'type': 'thing'}}}},
     'response_format', 'thing'),
    ({**CALLED, 'tools': [{'type': 'function', 'function': {'name': 'f', 'parameters': {'type': 'array'}}}]},
     'tools', 'object'),
    ({**CALLED, 'tool_choice': {'type': 'function', 'function': {'name': 'other'}}}, 'tool_choice', 'other'),
    ({**SHAPED, 'response_format': {'type': 'xml'}}, 'response_format', 'json_object'),
    ({'messages': MESSAGES, 'model': 'finder'}, 'model', '/v1/embeddings')])
def test_refusals_name_the_field_and_the_cause(api: Client, fields: dict[str, object], param: str, said: str) -> None:
    """Whichever of wrapper and backend finds it; and a stream that is refused is no stream."""
    for stream in (False, True):
        response = api.post(CHAT, json={'model': 'stub', **fields, 'stream': stream})
        assert response.status_code == 400, response.text
        error = error_of(response)
        assert error['param'] == param and said in str(error['message'])


def test_a_backend_that_is_lost_within_a_call(api: Client, faulty: Server, client_of: Callable[..., Client]) -> None:
    client_of(faulty, None).post('/faults', json={'directive': 'cut-after=3', 'path': CHAT})  # the next one
    *pieces, last = events_of(api.post(CHAT, json={'model': 'stub', **CALLED, 'stream': True}).content)
    assert pieces and 'tool_calls' in json.dumps(pieces)
    assert last['error']['code'] == 'backend_lost'  # type: ignore[index]  # JSON


def test_each_token_is_paid_for_once_streamed_or_not(holder: Callable[..., Client]) -> None:
    client, expected = holder('payer'), [0, 0, 0]
    for fields in (CALLED, SHAPED):
        usage = client.post(CHAT, json={'model': 'stub', **fields}).json()['usage']
        assert usage['total_tokens'] == usage['prompt_tokens'] + usage['completion_tokens']
        stream_of(client.post(CHAT, json={'model': 'stub', **fields, 'stream': True}))
        expected = [expected[0] + 2, expected[1] + 2 * usage['prompt_tokens'],
                    expected[2] + 2 * usage['completion_tokens']]
    [row] = client.get('/v1/usage').json()['data']
    assert [row['requests'], row['prompt_tokens'], row['completion_tokens']] == expected


def test_limits_hold_for_calls_and_vectors_alike(holder: Callable[..., Client]) -> None:
    client = holder('poor', '--daily-tokens', '1', '--models', 'stub,finder')
    assert client.post(CHAT, json={'model': 'second', **CALLED}).status_code == 403
    assert client.post(CHAT, json={'model': 'stub', **CALLED}).status_code == 200
    for path, body in ((CHAT, {'model': 'stub', **CALLED, 'stream': True}),
                       ('/v1/embeddings', {'model': 'finder', 'input': 'x'})):
        response = client.post(path, json=body)
        assert response.status_code == 429 and int(response.headers['Retry-After']) >= 1
        assert error_of(response)['code'] == 'rate_limit_exceeded'


def test_vectors_in_either_encoding_by_the_address(api: Client) -> None:
    body = {'input': ['a ship', 'the sea'], 'dimensions': 8}
    named = api.post('/v1/embeddings', json={'model': 'finder', **body}).json()
    assert [len(item['embedding']) for item in named['data']] == [8, 8]
    addressed = api.post('/m/finder/v1/embeddings', json={**body, 'encoding_format': 'base64'}).json()
    for item, packed in zip(named['data'], addressed['data'], strict=True):
        assert list(struct.unpack('<8f', base64.b64decode(packed['embedding']))) == pytest.approx(item['embedding'])
    wrong = api.post('/v1/embeddings', json={'model': 'finder', 'input': 'x', 'encoding_format': 'hex'})
    assert wrong.status_code == 400 and error_of(wrong)['param'] == 'encoding_format'


def test_metrics_tell_the_addresses_apart(api: Client) -> None:
    def counted() -> dict[tuple[str, str, str], float]:
        return {(sample.labels['route'], sample.labels['model'], sample.labels['status']): sample.value
                for family in text_string_to_metric_families(api.get('/metrics').text)
                for sample in family.samples if sample.name == 'sandle_wrapper_requests_total'}

    before = counted()
    api.post(CHAT, json={'model': 'second', **CALLED})
    api.post(CHAT, json={'model': 'second', **SHAPED, 'response_format': {'type': 'xml'}})  # not looked further
    api.post('/v1/embeddings', json={'model': 'finder', 'input': 'x'})
    wanted = [(CHAT, 'second', '200'), (CHAT, '', '400'), ('/v1/embeddings', 'finder', '200')]
    wait_for(lambda: all(counted().get(key, 0) == before.get(key, 0) + 1 for key in wanted))
