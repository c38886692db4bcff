"""The contract of /v1/chat/completions, on every backend."""

import itertools
from typing import Any

import pytest

from tests.end_to_end.backends import ODD, Api
from tests.end_to_end.rig import error_of, events_of

Messages = list[dict[str, object]]
PARIS: Messages = [{'role': 'user', 'content': 'What is the capital of France?'}]
TURNS: Messages = [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': ODD},
                   {'role': 'assistant', 'content': 'Yes.'}, {'role': 'user', 'content': 'Why?'}]


def post(api: Api, messages: object = PARIS, path: str = '/v1/chat/completions', **fields: Any) -> Any:
    """Sends a request, greedy unless told otherwise."""
    return api.client.post(path, json={'model': api.model, 'messages': messages, 'temperature': 0, **fields})


def chat(api: Api, messages: object = PARIS, **fields: Any) -> Any:
    """Returns the body of an answer."""
    response = post(api, messages, **{'max_completion_tokens': 6, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def rendered(api: Api, messages: object = PARIS, **fields: Any) -> Any:
    """Returns what the messages become."""
    response = post(api, messages, '/v1/chat/completions/render', **fields)
    assert response.status_code == 200, response.text
    return response.json()


def test_shape_of_an_answer(api: Api) -> None:
    body = chat(api)
    assert list(body) == ['id', 'object', 'created', 'model', 'system_fingerprint', 'choices', 'usage']
    assert body['id'].startswith('chatcmpl-') and (body['object'], body['model']) == ('chat.completion', api.model)
    [choice] = body['choices']
    assert list(choice) == ['index', 'message', 'logprobs', 'finish_reason']
    assert list(choice['message']) == ['role', 'content', 'refusal'] and choice['message']['role'] == 'assistant'
    assert (choice['index'], choice['logprobs'], choice['message']['refusal']) == (0, None, None)
    assert 'chat' in api.client.get(f'/v1/models/{api.model}').json()['capabilities']


@pytest.mark.parametrize('messages', [PARIS, TURNS], ids=['one', 'four'])
def test_chat_is_the_completion_of_what_is_rendered(api: Api, messages: Messages) -> None:
    """Whose text is tokenized as it is: with a beginning-of-text token only where the template writes one."""
    prompt = rendered(api, messages)
    assert prompt['tokens'] == api.encode(prompt['prompt'], add_special_tokens=False)
    assert prompt['count'] == len(prompt['tokens']) and prompt['max_model_len'] > prompt['count']
    assert str(messages[-1]['content']) in prompt['prompt']
    body = chat(api, messages, return_token_ids=True)
    [choice] = body['choices']
    alone = api.choice(prompt['prompt'], add_special_tokens=False, return_token_ids=True)
    assert choice['prompt_token_ids'] == alone['prompt_token_ids'] == prompt['tokens']
    assert (choice['message']['content'], choice['token_ids']) == (alone['text'], alone['token_ids'])
    assert choice['finish_reason'] == alone['finish_reason']
    assert body['usage']['prompt_tokens'] == prompt['count']
    if api.info['bos_token'] is not None:
        beginning = api.encode(api.info['bos_token'], add_special_tokens=False)
        assert prompt['tokens'][:1] == beginning and prompt['tokens'].count(beginning[0]) == 1


def test_messages_in_other_spellings(api: Api) -> None:
    plain = rendered(api, [{'role': 'system', 'content': 'a\nb'}, *PARIS])
    for message in ({'role': 'developer', 'content': 'a\nb'}, {'role': 'system', 'content': 'a\nb', 'name': None},
                    {'role': 'system', 'content': [{'type': 'text', 'text': 'a'}, {'type': 'text', 'text': 'b'}]}):
        assert rendered(api, [message, *PARIS]) == plain
    called = rendered(api, [*PARIS, {'role': 'assistant', 'content': None, 'tool_calls': [
        {'id': '1', 'type': 'function', 'function': {'name': 'f', 'arguments': '{"a": 1}'}}]},
        {'role': 'tool', 'tool_call_id': '1', 'content': 'Paris'}])
    assert 'Paris' in called['prompt'] and 'None' not in called['prompt']


def test_an_answer_may_be_begun_or_left_to_the_model(api: Api) -> None:
    whole = rendered(api)['prompt']
    without = rendered(api, add_generation_prompt=False)['prompt']
    assert whole.startswith(without) and len(whole) > len(without)
    begun = [*PARIS, {'role': 'assistant', 'content': 'The capital'}]
    prompt = rendered(api, begun, continue_final_message=True)['prompt']
    assert prompt.endswith('The capital')
    answer = chat(api, begun, continue_final_message=True)['choices'][0]['message']['content']
    assert answer == api.choice(prompt, add_special_tokens=False)['text']


@pytest.mark.parametrize('fields', [
    {}, {'logprobs': True, 'top_logprobs': 2}, {'logprobs': True}, {'n': 3, 'seed': 5, 'temperature': 1.5},
    {'stop': ['e', ' w'], 'logprobs': True}, {'stream_batch_size': 3}, {'return_token_ids': True, 'n': 2}],
    ids=lambda fields: '-'.join(fields))
def test_stream_adds_up_to_the_whole(api: Api, fields: dict[str, Any]) -> None:
    request = {'max_completion_tokens': 8, **fields}
    whole = chat(api, TURNS, **request)
    response = post(api, TURNS, **request, stream=True, stream_options={'include_usage': True})
    assert response.headers['Content-Type'].startswith('text/event-stream')
    assert response.content.endswith(b'data: [DONE]\n\n')
    events: list[Any] = list(events_of(response.content))
    *chunks, last = events
    assert (last['choices'], last['usage']) == ([], whole['usage'])
    assert all(chunk['usage'] is None and chunk['object'] == 'chat.completion.chunk' for chunk in chunks)
    pieces = [piece for chunk in chunks for piece in chunk['choices']]
    assert len(pieces) == len(chunks)
    for choice in whole['choices']:
        own = [piece for piece in pieces if piece['index'] == choice['index']]
        assert own[0]['delta'] == {'role': 'assistant', 'content': ''}
        assert all(piece['delta'].keys() <= {'content'} for piece in own[1:])
        assert ''.join(piece['delta'].get('content', '') for piece in own) == choice['message']['content']
        assert [piece['finish_reason'] for piece in own] == [None] * (len(own) - 1) + [choice['finish_reason']]
        if choice['logprobs'] is not None:
            joined = list(itertools.chain(*(piece['logprobs']['content'] for piece in own[1:])))
            assert [each['token'] for each in joined] == [each['token'] for each in choice['logprobs']['content']]
            assert [each['logprob'] for each in joined] == pytest.approx(
                [each['logprob'] for each in choice['logprobs']['content']], abs=1e-4)
        if 'token_ids' in choice:
            assert list(itertools.chain(*(piece['token_ids'] for piece in own))) == choice['token_ids']
            assert own[0]['prompt_token_ids'] == choice['prompt_token_ids']


def test_stream_without_usage_says_nothing_of_it(api: Api) -> None:
    response = post(api, stream=True, max_tokens=2)
    assert all('usage' not in event for event in events_of(response.content))


@pytest.mark.parametrize('count', [None, 0, 3])
def test_logprobs_are_those_of_the_completion(api: Api, count: int | None) -> None:
    body = chat(api, logprobs=True, top_logprobs=count, max_completion_tokens=20)
    content = body['choices'][0]['logprobs']['content']
    alone = api.choice(rendered(api)['prompt'], add_special_tokens=False, max_tokens=20,
                       logprobs=count or 0)['logprobs']
    assert [each['token'] for each in content] == alone['tokens'] and len(content) == body['usage']['completion_tokens']
    assert [each['logprob'] for each in content] == pytest.approx(alone['token_logprobs'], abs=1e-4)
    assert all(len(each['top_logprobs']) == (count or 0) for each in content)
    for each, top in zip(content, alone['top_logprobs'], strict=True):
        assert {other['token'] for other in each['top_logprobs']} <= top.keys()
    shown = [each for each in content if each['token'] != api.info['eos_token']]
    assert b''.join(bytes(each['bytes']) for each in shown).decode() == body['choices'][0]['message']['content']


def test_seed_and_n(api: Api) -> None:
    request: dict[str, Any] = {'messages': TURNS, 'temperature': 2, 'n': 4}
    first = chat(api, **request, seed=3)
    assert [choice['index'] for choice in first['choices']] == [0, 1, 2, 3]
    assert first['choices'] == chat(api, **request, seed=3)['choices']
    if api.kind != 'stub':
        assert len({choice['message']['content'] for choice in first['choices']}) > 1
        assert first['choices'] != chat(api, **request, seed=4)['choices']


def test_without_a_limit_the_context_is_one(api: Api) -> None:
    empty = rendered(api, [{'role': 'user', 'content': ''}])
    words = empty['max_model_len'] - empty['count'] - 12  # " sea" is one token everywhere
    long = [{'role': 'user', 'content': ' sea' * words}]
    room = empty['max_model_len'] - rendered(api, long)['count']
    assert 0 < room < 40
    body = chat(api, long, max_completion_tokens=None, ignore_eos=True)
    assert (body['usage']['completion_tokens'], body['choices'][0]['finish_reason']) == (room, 'length')
    for fields in ({'max_completion_tokens': room + 1}, {'max_tokens': room + 1}):
        assert error_of(post(api, long, **fields))['code'] == 'context_length_exceeded'
    error = error_of(post(api, [{'role': 'user', 'content': ' sea' * (words + 50)}]))
    assert error['code'] == 'context_length_exceeded'
    assert chat(api, max_completion_tokens=1, max_tokens=9)['usage']['completion_tokens'] == 1


@pytest.mark.parametrize(('fields', 'param'), [
    ({'messages': []}, 'messages'), ({'messages': 'Hi'}, 'messages'), ({'messages': [5]}, 'messages'),
    ({'messages': [{'role': 'usr', 'content': 'a'}]}, 'messages'), ({'messages': [{'role': 'user'}]}, 'messages'),
    ({'messages': [{'role': 'user', 'content': [{'type': 'image_url', 'image_url': {'url': 'x'}}]}]}, 'messages'),
    ({'messages': [{'role': 'user', 'content': 'a', 'tool_calls': [
        {'id': '1', 'function': {'name': 'f', 'arguments': '{}'}}]}]}, 'messages'),
    ({'max_completion_tokens': 0}, 'max_completion_tokens'), ({'max_tokens': 1.0}, 'max_tokens'),
    ({'n': 129}, 'n'), ({'logprobs': 5}, 'logprobs'), ({'top_logprobs': 2}, 'top_logprobs'),
    ({'logprobs': True, 'top_logprobs': 21}, 'top_logprobs'), ({'stream_options': {}}, 'stream_options'),
    ({'response_format': {'type': 'xml'}}, 'response_format'),
    ({'response_format': {'type': 'json_schema'}}, 'response_format'), ({'tools': [{}]}, 'tools'),
    ({'tools': [{'type': 'function', 'function': {'name': 'a b'}}]}, 'tools'),
    ({'tools': [{'type': 'function', 'function': {'name': 'f'}}] * 2}, 'tools'),
    ({'tool_choice': 'required'}, 'tool_choice'), ({'tool_choice': 'always'}, 'tool_choice'),
    ({'continue_final_message': True}, 'continue_final_message'),
    ({'chat_template_kwargs': {'chat_template': '{{ 1 }}'}}, 'chat_template_kwargs'),
    ({'chat_template_kwargs': []}, 'chat_template_kwargs'), ({'min_tokens': 9, 'max_tokens': 8}, 'min_tokens'),
    ({'model': 'nope'}, 'model')])
def test_a_wrong_field_is_named(api: Api, fields: dict[str, Any], param: str) -> None:
    response = post(api, **fields)
    assert response.status_code == (404 if param == 'model' else 400)
    error = error_of(response)
    assert (error['param'], error['type']) == (param, 'invalid_request_error')
