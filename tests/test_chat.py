"""/v1/chat/completions over a scripted engine, through Flask's test client."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandle import app as http
from sandle import endpoints, errors, sse
from sandle.engine.engine import (Conversation, Delta, Finished, FinishReason, GenerationRequest, ModelInfo,
                                  SamplingParams)
from sandle.sampling_request import CompletionLimits
from tests.scripted_engine import CharacterTokenizer, ScriptedEngine, Step, delta, model, token

STOP = FinishReason.STOP
HELLO: list[Step] = [delta('Hel'), None, delta('lo', reason=STOP), Finished(3, 2)]
HI = [{'role': 'user', 'content': 'Hi'}]


class Backend:
    """An application over a scripted engine."""

    def __init__(self, steps: Sequence[Step] = HELLO, models: Sequence[ModelInfo] = (model(),)) -> None:
        self.engine = ScriptedEngine(steps, models)
        lifecycle = http.Lifecycle()
        app = http.create_app('test', lifecycle)
        endpoints.add_routes(app, self.engine, lifecycle, CompletionLimits(8, 5))
        self.client = app.test_client()

    def post(self, messages: object = HI, path: str = '/v1/chat/completions', **fields: Any) -> Any:
        """Sends a request; the response is not read yet."""
        return self.client.post(path, json={'model': 'org/model', 'messages': messages, **fields}, buffered=False)

    def events(self, **fields: Any) -> list[Any]:
        """Sends a streaming request and returns its events, the last one as text."""
        response = self.post(stream=True, **fields)
        assert (response.status_code, response.content_type) == (200, sse.CONTENT_TYPE)
        data = [block.removeprefix('data: ') for block in response.get_data(as_text=True).split('\n\n')[:-1]]
        return [json.loads(item) if item.startswith('{') else item for item in data]

    def asked(self, **fields: Any) -> GenerationRequest:
        """Returns what the engine is asked."""
        self.post(**fields).close()
        return self.engine.requests[-1]

    def conversation(self, messages: object, **fields: Any) -> Conversation:
        """Returns what is rendered."""
        self.post(messages, **fields).close()
        return self.engine.characters.conversations[-1]


def test_unstreamed_answer() -> None:
    body = Backend().post().get_json()
    assert body.pop('id').startswith('chatcmpl-') and isinstance(body.pop('created'), int)
    assert body == {
        'object': 'chat.completion', 'model': 'org/model', 'system_fingerprint': 'fp_sandle',
        'choices': [{'index': 0, 'message': {'role': 'assistant', 'content': 'Hello', 'refusal': None},
                     'logprobs': None, 'finish_reason': 'stop'}],
        'usage': {'prompt_tokens': 3, 'completion_tokens': 2, 'total_tokens': 5}}


def test_stream_says_the_role_first() -> None:
    *chunks, last = Backend().events()
    assert last == '[DONE]' and all('usage' not in chunk for chunk in chunks)
    assert [chunk['choices'][0] for chunk in chunks] == [
        {'index': 0, 'delta': {'role': 'assistant', 'content': ''}, 'logprobs': None, 'finish_reason': None},
        {'index': 0, 'delta': {'content': 'Hel'}, 'logprobs': None, 'finish_reason': None},
        {'index': 0, 'delta': {'content': 'lo'}, 'logprobs': None, 'finish_reason': 'stop'}]


def test_stream_ends_with_an_empty_delta_where_the_last_token_has_no_text() -> None:
    *_, end, usage, last = Backend([delta('a'), Delta(0, '', (token('</s>'),), STOP), Finished(1, 2)]).events(
        stream_options={'include_usage': True})
    assert (end['choices'][0]['delta'], end['choices'][0]['finish_reason'], end['usage']) == ({}, 'stop', None)
    assert (usage['choices'], usage['usage']['completion_tokens'], last) == ([], 2, '[DONE]')


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4), st.integers(0, 3), st.booleans(), st.booleans())
@settings(deadline=None)
def test_unstreamed_answer_is_the_sum_of_the_stream(texts: list[str], batch_size: int, return_token_ids: bool,
                                                    logprobs: bool) -> None:
    script: list[Step] = [delta(letter, choice) for choice, text in enumerate(texts) for letter in text]
    script += [Delta(choice, '', (), STOP) for choice in range(len(texts))] + [Finished(1, 1)]
    fields: dict[str, Any] = {'n': len(texts), 'stream_batch_size': batch_size, 'logprobs': logprobs,
                              'return_token_ids': return_token_ids}
    whole = Backend(script).post(**fields).get_json()
    *chunks, _ = Backend(script).events(**fields)
    assert [choice['message']['content'] for choice in whole['choices']] == texts
    for choice in whole['choices']:
        first, *parts = [part for chunk in chunks for part in chunk['choices'] if part['index'] == choice['index']]
        assert first['delta'] == {'role': 'assistant', 'content': ''}
        assert ''.join(part['delta'].get('content', '') for part in parts) == choice['message']['content']
        assert [part['finish_reason'] for part in parts] == [None] * (len(parts) - 1) + ['stop']
        if return_token_ids:
            assert first['prompt_token_ids'] == choice['prompt_token_ids'] == [1, 2]
            assert sum((part['token_ids'] for part in parts), []) == choice['token_ids']
        if logprobs:
            assert sum((part['logprobs']['content'] for part in parts), []) == choice['logprobs']['content']


def test_logprobs_in_chats_form() -> None:
    tokens = token(r'bytes:\xc3', logprob=-1e9, top=(('a', -0.25), ('b', -2.0))), token(r'bytes:\xa9')
    step = Delta(0, 'é', tokens, STOP)
    body = Backend([step, Finished(1, 2)]).post(logprobs=True, top_logprobs=2).get_json()
    assert body['choices'][0]['logprobs'] == {'refusal': None, 'content': [
        {'token': r'bytes:\xc3', 'logprob': -9999.0, 'bytes': [0xc3], 'top_logprobs': [
            {'token': 'a', 'logprob': -0.25, 'bytes': [97]}, {'token': 'b', 'logprob': -2.0, 'bytes': [98]}]},
        {'token': r'bytes:\xa9', 'logprob': -0.5, 'bytes': [0xa9], 'top_logprobs': []}]}


def test_request_reaches_the_engine() -> None:
    request = Backend([errors.InternalError('enough')]).asked(
        max_completion_tokens=5, temperature=0.5, n=3, seed=-1, stop=['x', ''], logprobs=True, top_logprobs=3,
        user='me')
    assert request.params == SamplingParams(max_tokens=5, temperature=0.5, seed=-1, stops=('x',), logprobs=3)
    assert (request.prompts, request.candidates, request.user) == (('user=Hi',), 3, 'me')
    assert (request.add_special_tokens, request.fills_context) == (False, False)
    assert Backend([errors.InternalError('enough')]).asked().fills_context


def test_messages_reach_the_template() -> None:
    call = {'id': '1', 'type': 'function', 'function': {'name': 'f', 'arguments': '{"a": [null]}'}}
    broken = {'id': '2', 'function': {'name': 'f', 'arguments': '{"a'}}
    conversation = Backend().conversation(
        [{'role': 'developer', 'content': [{'type': 'text', 'text': 'a'}, {'type': 'text', 'text': 'b'}]},
         {'role': 'user', 'content': 'x', 'name': 'Ann', 'unknown': 1},
         {'role': 'assistant', 'tool_calls': [call, broken]}, {'role': 'tool', 'content': 'y', 'tool_call_id': '1'}],
        add_generation_prompt=False, chat_template_kwargs={'thinks': False})
    assert conversation == Conversation([
        {'role': 'system', 'content': 'a\nb'}, {'role': 'user', 'content': 'x', 'name': 'Ann'},
        {'role': 'assistant', 'content': '', 'tool_calls': [
            {**call, 'function': {'name': 'f', 'arguments': {'a': [None]}}},
            {'id': '2', 'type': 'function', 'function': {'name': 'f', 'arguments': '{"a'}}]},
        {'role': 'tool', 'content': 'y', 'tool_call_id': '1'}],
        opens_answer=False, variables={'thinks': False})


def test_a_template_that_knows_developers_sees_one() -> None:
    backend = Backend()
    backend.engine.characters = CharacterTokenizer("{% if message.role == 'developer' %}")
    assert backend.conversation([{'role': 'developer', 'content': 'a'}, *HI]).messages[0]['role'] == 'developer'


def test_tools_reach_the_template_as_they_were_sent() -> None:
    tool = {'type': 'function', 'function': {'name': 'f', 'parameters': {'properties': {'a': {'default': None}}}}}
    render = '/v1/chat/completions/render'
    assert Backend().conversation(HI, path=render, tools=[tool]).tools == [tool]
    assert Backend().conversation(HI, path=render, tools=[tool], tool_choice='none').tools is None


def test_what_messages_become_is_shown() -> None:
    body = Backend().post(path='/v1/chat/completions/render', max_tokens=5, stream=True).get_json()
    assert body == {'prompt': 'user=Hi', 'tokens': [ord(letter) for letter in 'user=Hi'], 'count': 7,
                    'max_model_len': 128}


@pytest.mark.parametrize('path', ['/v1/chat/completions', '/v1/chat/completions/render'])
def test_a_model_without_a_template_and_a_template_that_refuses_are_400s(path: str) -> None:
    backend = Backend()
    response = backend.post([{'role': 'user', 'content': 'refuse'}], path=path)
    assert (response.status_code, response.get_json()['error']['param']) == (400, 'messages')
    backend.engine.characters = CharacterTokenizer(None)
    response = backend.post(path=path)
    assert (response.status_code, response.get_json()['error']['param']) == (400, 'model')
    assert 'no chat template' in response.get_json()['error']['message']
    assert backend.engine.requests == []


@pytest.mark.parametrize(('field', 'value'), [
    ('response_format', {'type': 'json_object'}), ('tools', [{'type': 'function', 'function': {'name': 'f'}}])])
def test_what_a_model_does_not_support_is_refused(field: str, value: Any) -> None:
    backend = Backend(models=[model(frozenset())])
    error = backend.post(**{field: value}).get_json()['error']
    assert (error['param'], error['code']) == (field, 'unsupported_parameter')
    assert Backend().post(response_format={'type': 'text'}, tools=[], tool_choice='auto').status_code == 200


@pytest.mark.parametrize('error', [errors.InternalError('The step failed.'), ZeroDivisionError('secret')])
def test_an_error_in_mid_stream_is_an_event_and_the_end(error: Exception) -> None:
    backend = Backend([delta('a'), error])
    *_, last = backend.events()
    assert last['error']['code'] == 'internal_error' and 'secret' not in json.dumps(last)
    assert backend.engine.handles[0].cancelled == 1
