"""Answers that keep to a schema and calls of tools, on every backend: what comes back always parses."""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema_rs
import openai
import pytest

from tests.end_to_end.rig import ROOT, STUB, Client, error_of, events_of, serve, wait_for

# Its library takes minutes to compile, and the stack runs without it.
NEEDS_LLAMA_CPP = pytest.mark.skipif(importlib.util.find_spec('llama_cpp') is None,
                                     reason='NO llama.cpp HERE: backend-llama is NOT tested')
TEMPLATE = """{{ bos_token }}{% if tools %}<|system|>
Call a tool by <tool_call>{"name": ..., "arguments": ...}</tool_call>. {{ tools | tojson }}
{% endif %}{% for message in messages %}<|{{ message.role }}|>
{{ message.content }}
{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% endif %}"""
RUNS = 100
PERSON = {'type': 'object', 'properties': {
    'name': {'type': 'string', 'maxLength': 12}, 'age': {'type': 'integer', 'minimum': 0, 'maximum': 120},
    'mood': {'enum': ['glad', 'sad', None]},
    'pets': {'type': 'array', 'items': {'type': 'string', 'maxLength': 5}, 'maxItems': 2}},
    'required': ['name', 'age', 'mood', 'pets'], 'additionalProperties': False}
FORMAT: Any = {'type': 'json_schema', 'json_schema': {'name': 'person', 'schema': PERSON, 'strict': True}}
WEATHER = {'type': 'object', 'properties': {'city': {'type': 'string', 'maxLength': 12}, 'unit': {'enum': ['C', 'F']}},
           'required': ['city', 'unit'], 'additionalProperties': False}
TOOLS: Any = [{'type': 'function', 'function': {'name': 'weather', 'description': 'It rains.', 'parameters': WEATHER}},
              {'type': 'function', 'function': {'name': 'time_now'}}]
MESSAGES: Any = [{'role': 'user', 'content': 'What is the weather in Oslo?'}]


class Api:
    """A backend that is ready, whose model is told of tools."""

    def __init__(self, client: Client, kind: str) -> None:
        self.client = client
        self.kind = kind
        self.model = client.get('/v1/models').json()['data'][0]['id']

    def chat(self, **fields: object) -> Any:
        """Sends a request to chat."""
        return self.client.post('/v1/chat/completions', json={
            'model': self.model, 'messages': MESSAGES, 'max_tokens': 700, **fields})

    def choice(self, **fields: object) -> Any:
        """Returns the only choice of an answer."""
        response = self.chat(**fields)
        assert response.status_code == 200, response.text
        [choice] = response.json()['choices']
        return choice

    def refused_param(self, **fields: object) -> object:
        """Returns which field a request is refused for."""
        response = self.chat(**fields)
        assert response.status_code == 400, response.text
        return error_of(response)['param']


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sandle-tiny with a chat template that tells of tools."""
    folder = tmp_path_factory.mktemp('models') / 'tiny-with-tools'
    shutil.copytree(ROOT / 'models/sandle-tiny', folder,
                    ignore=shutil.ignore_patterns('*.py', 'tests', 'sandle_tiny', '*.gguf'))
    (folder / 'chat_template.jinja').write_text(TEMPLATE, 'utf-8')
    settings = json.loads((folder / 'tokenizer_config.json').read_text('utf-8'))
    (folder / 'tokenizer_config.json').write_text(json.dumps(settings | {'chat_template': TEMPLATE}), 'utf-8')
    return folder


@pytest.fixture(scope='module', params=['stub', 'hf', pytest.param('llama', marks=NEEDS_LLAMA_CPP)])
def api(request: pytest.FixtureRequest, folder: Path) -> Iterator[Api]:
    """Each backend as a process."""
    command = {'stub': (STUB,), 'hf': ('backend-hf/serve-backend-hf.py', '--single-model', str(folder)),
               'llama': ('backend-llama/serve-backend-llama.py', '--model', str(folder))}[request.param]
    with serve(*command) as server, closing(Client(server.url, key=None)) as client:
        wait_for(lambda: client.get('/ready').status_code == 200, 120)
        yield Api(client, request.param)


def checked_call(choice: Any) -> Any:
    """Returns the only call of a choice, whose arguments fit."""
    assert choice['finish_reason'] == 'tool_calls', choice
    assert choice['message']['content'] is None
    [call] = choice['message']['tool_calls']
    assert call['type'] == 'function' and call['id'].startswith('call_')
    arguments = json.loads(call['function']['arguments'])
    if call['function']['name'] == 'weather':
        jsonschema_rs.validate(WEATHER, arguments)
    else:
        assert (call['function']['name'], arguments) == ('time_now', {})
    return call


def test_seeded_runs_always_parse(api: Api) -> None:
    """Half of them are calls of tools, half are answers by a schema."""
    def run(seed: int) -> str:
        if seed % 2:
            call = checked_call(api.choice(tools=TOOLS, tool_choice='required', parallel_tool_calls=False, seed=seed))
            return str(call['id'])
        choice = api.choice(response_format=FORMAT, seed=seed)
        assert choice['finish_reason'] == 'stop', choice
        jsonschema_rs.validate(PERSON, json.loads(choice['message']['content']))
        return str(choice['message']['content'])

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(run, range(RUNS if api.kind == 'hf' else 10)))
    assert len(set(found[1::2])) == len(found[1::2]), 'ids are unique'
    assert api.kind == 'stub' or len(set(found[::2])) > 3, 'seeds make a difference'


def test_a_stream_holds_what_the_whole_answer_holds(api: Api) -> None:
    fields = {'tools': TOOLS, 'tool_choice': {'type': 'function', 'function': {'name': 'weather'}}, 'seed': 3,
              'parallel_tool_calls': False}
    whole = checked_call(api.choice(**fields))
    events: list[Any] = [event['choices'][0]  # type: ignore[index]  # JSON
                         for event in events_of(api.chat(**fields, stream=True).content)]
    assert events[0]['delta'] == {'role': 'assistant', 'content': ''}
    assert events[-1]['finish_reason'] == 'tool_calls'
    pieces = [call for event in events for call in event['delta'].get('tool_calls', ())]
    assert {piece['index'] for piece in pieces} == {0}
    assert [('id' in piece, 'name' in piece['function']) for piece in pieces[:2]] == [(True, True), (False, False)]
    assert len(pieces) > 2, 'the arguments come as they are made'
    assert pieces[0]['function']['name'] == 'weather'
    assert ''.join(piece['function']['arguments'] for piece in pieces) == whole['function']['arguments']
    assert not any(event['delta'].get('content') for event in events)


def test_completions_take_a_response_format_too(api: Api) -> None:
    response = api.client.post('/v1/completions', json={
        'model': api.model, 'prompt': 'A person:', 'max_tokens': 700, 'seed': 4, 'n': 3, 'best_of': 4,
        'response_format': FORMAT})
    assert response.status_code == 200, response.text
    for choice in response.json()['choices']:
        jsonschema_rs.validate(PERSON, json.loads(choice['text']))


def test_max_tokens_in_the_middle_is_a_length(api: Api) -> None:
    choice = api.choice(tools=TOOLS, tool_choice='required', max_tokens=8, seed=1)
    assert choice['finish_reason'] == 'length'
    choice = api.choice(response_format=FORMAT, max_tokens=3, seed=1)
    assert choice['finish_reason'] == 'length' and choice['message']['content'].startswith('{')


def test_any_object_and_any_text(api: Api) -> None:
    opened = api.choice(response_format={'type': 'json_object'}, seed=2, max_tokens=20)['message']['content']
    assert opened.startswith('{')
    text = api.choice(response_format={'type': 'text'}, max_tokens=5)['message']
    assert text['content'] and 'tool_calls' not in text
    free = api.choice(tools=TOOLS, max_tokens=5, seed=1)
    assert free['finish_reason'] in ('length', 'stop') and free['message']['content']
    unused = api.choice(tools=TOOLS, tool_choice='none', max_tokens=5)
    assert 'tool_calls' not in unused['message']


def test_what_cannot_be_kept_is_a_400_that_names_the_field(api: Api) -> None:
    def schema(content: object) -> object:
        return {'type': 'json_schema', 'json_schema': {'name': 'x', 'schema': content}}

    for content in ({'type': 'thing'}, {'$ref': '#'}, {'pattern': '(', 'type': 'string'}, {'enum': ['x' * 200_000]}):
        assert api.refused_param(response_format=schema(content)) == 'response_format'
    broken = {'type': 'function', 'function': {'name': 'f', 'parameters': {'properties': {'a': {'type': 'thing'}}}}}
    assert api.refused_param(tools=[broken]) == 'tools'
    assert api.refused_param(tool_choice='required') == 'tool_choice'
    assert api.choice(max_tokens=1)['finish_reason'] == 'length', 'it goes on serving'


def test_openai_python_reads_calls_and_schemas(api: Api) -> None:
    with openai.OpenAI(base_url=f'{api.client.url}/v1', api_key='none', max_retries=0) as client:
        asked: Any = {'model': api.model, 'messages': MESSAGES, 'max_tokens': 700, 'seed': 5}
        answer = client.chat.completions.create(**asked, tools=TOOLS, tool_choice='required',
                                                parallel_tool_calls=False)
        calls: Any = answer.choices[0].message.tool_calls
        assert isinstance(json.loads(calls[0].function.arguments), dict)
        result: Any = [*MESSAGES, {'role': 'assistant', 'content': '', 'tool_calls': [calls[0].model_dump()]},
                       {'role': 'tool', 'tool_call_id': calls[0].id, 'content': 'Rain.'}]
        again = client.chat.completions.create(**{**asked, 'messages': result, 'max_tokens': 4})
        assert again.choices[0].message.content is not None
        shaped = client.chat.completions.create(**asked, response_format=FORMAT)
        jsonschema_rs.validate(PERSON, json.loads(shaped.choices[0].message.content or ''))


def test_capabilities_name_both(api: Api) -> None:
    [info, *_] = api.client.get('/v1/models').json()['data']
    assert {'chat', 'response_format', 'tools'} <= {*info['capabilities']}
