"""What a chat's messages may be, and that whatever else comes is refused by name."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandle.chat_protocol import MAX_MESSAGES, ChatRequest
from sandle.errors import InvalidRequestError
from sandle.wire import parse

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
                        st.sampled_from(['role', 'content', 'type', 'text', 'tool_calls', 'id', 'function', 'name']),
                        inner, max_size=5), max_leaves=12)
PARTS = st.lists(st.fixed_dictionaries({'type': st.just('text'), 'text': st.text()}))
MESSAGE = st.fixed_dictionaries(
    {'role': st.sampled_from(['system', 'developer', 'user', 'tool', 'assistant']), 'content': st.text() | PARTS},
    optional={'name': st.none() | st.text(), 'tool_call_id': st.text(), 'unknown': JSON})
MESSAGES = [{'role': 'user', 'content': 'Hi'}]


def refusal(**fields: object) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        parse(ChatRequest, {'model': 'm', 'messages': MESSAGES, **fields})
    return caught.value


@given(st.lists(MESSAGE, min_size=1, max_size=4))
def test_messages_keep_what_they_say(messages: list[dict[str, Any]]) -> None:
    request = parse(ChatRequest, {'model': 'm', 'messages': messages})
    for message, read in zip(messages, request.messages, strict=True):
        content = message['content']
        assert read.role == message['role'] and read.name == message.get('name')
        assert read.text() == (content if isinstance(content, str) else '\n'.join(part['text'] for part in content))


@given(JSON)
def test_whatever_comes_as_messages_is_read_or_refused_by_name(messages: object) -> None:
    try:
        parse(ChatRequest, {'model': 'm', 'messages': messages})
    except InvalidRequestError as error:
        assert error.param == 'messages' and error.message.startswith('messages')


@pytest.mark.parametrize(('message', 'said'), [
    ({'role': 'user'}, 'messages[0] needs content.'),
    ({'role': 'assistant'}, 'messages[0] needs content or tool_calls.'),
    ({'content': 'a'}, 'messages[0].role is required.'),
    ({'role': 'user', 'content': 5}, 'messages[0].content must be a string or an array of parts.'),
    ({'role': 'user', 'content': [{'type': 'image_url'}]},
     'messages[0].content must hold parts of the type "text" alone: this server reads no image_url.'),
    ({'role': 'user', 'content': ['a']}, 'messages[0].content must hold parts of the type "text".'),
    ({'role': 'user', 'content': [{'type': 'text'}]}, 'messages[0].content must hold parts with a "text" that is a '
                                                      'string.'),
    ({'role': 'assistant', 'tool_calls': [{'id': '1', 'function': {'name': 'f', 'arguments': {}}}]},
     'messages[0].tool_calls[0].function.arguments must be a string.')])
def test_words_of_a_refusal(message: object, said: str) -> None:
    assert refusal(messages=[message]).message == said


@pytest.mark.parametrize('messages', [MESSAGES * (MAX_MESSAGES + 1), [1] * 10 ** 6])
def test_long_arrays_are_refused_at_once(messages: object) -> None:
    began_s = time.process_time()
    assert refusal(messages=messages).param == 'messages'
    assert time.process_time() - began_s < 0.5


def test_choices_among_tools() -> None:
    tools = [{'type': 'function', 'function': {'name': 'f', 'parameters': None}}]
    for choice in ('none', 'auto', 'required', {'type': 'function', 'function': {'name': 'f'}}, None):
        parse(ChatRequest, {'model': 'm', 'messages': MESSAGES, 'tools': tools, 'tool_choice': choice})
    others: list[object] = ['f', {'type': 'function', 'function': {'name': 'g'}}, {'type': 'function'}, 5, []]
    for wrong in others:
        assert refusal(tools=tools, tool_choice=wrong).param == 'tool_choice'


@pytest.mark.parametrize('schema', [{'schema': {}}, {'name': 's'}, {'name': 'a b', 'schema': {}},
                                    {'name': 's', 'schema': []}])
def test_a_json_schema_has_a_name_and_a_schema(schema: dict[str, object]) -> None:
    assert refusal(response_format={'type': 'json_schema', 'json_schema': schema}).param == 'response_format'
    request = parse(ChatRequest, {'model': 'm', 'messages': MESSAGES, 'response_format': {
        'type': 'json_schema', 'json_schema': {'name': 's', 'schema': {'a': None}, 'strict': None}}})
    assert request.response_format is not None and request.response_format.json_schema is not None
    assert request.response_format.json_schema.schema_ == {'a': None}
