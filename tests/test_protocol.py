"""What a request may be: every field's type, range, default, and the words of a refusal."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandle.errors import InvalidRequestError
from sandle.generation_protocol import MAX_STOP_LENGTH, MAX_STOPS
from sandle.prompts import INT64_MAX
from sandle.protocol import CompletionChoice, CompletionRequest, Usage
from sandle.wire import parse

FIELDS = CompletionRequest.model_fields
BOOLEANS = ['stream', 'echo', 'greedy_decoding', 'ignore_eos', 'add_special_tokens', 'return_token_ids']
INTEGERS = {  # name: (least, greatest)
    'max_tokens': (0, INT64_MAX), 'n': (1, 128), 'best_of': (1, 128), 'logprobs': (0, INT64_MAX),
    'seed': (-2 ** 63, INT64_MAX), 'stream_batch_size': (0, INT64_MAX), 'top_k': (0, INT64_MAX),
    'min_tokens': (0, INT64_MAX)}
NUMBERS = {
    'temperature': (0, 2), 'top_p': (0, 1), 'presence_penalty': (-2, 2), 'frequency_penalty': (-2, 2), 'min_p': (0, 1),
    'typical_p': (1e-9, 1), 'repetition_penalty': (1e-9, 10)}
STRINGS = ['model', 'suffix', 'user']
WRONG_FOR_INTEGER: list[object] = ['5', '', 5.0, 5.5, True, False, [], [5], {}, {'a': 5}]
WRONG_FOR_NUMBER: list[object] = ['0.5', '', True, [], [0.5], {}, 10 ** 400, -10 ** 400]
WRONG_FOR_BOOLEAN: list[object] = ['true', 'false', '', 0, 1, 1.0, [], [True], {}]
WRONG_FOR_STRING: list[object] = [5, 5.5, True, [], ['a'], {}]
WRONG_FOR_PROMPT: list[object] = [
    5, 5.5, True, {}, [], [[]], [1, []], [[1], []], [1, 'a'], ['a', 1], ['a', ['b']], [['a']], [1, [2]], [[[1]]], [1.0],
    [True], [None], [[None]], [-1], [[-1]], [2 ** 63], [[2 ** 64]]]
WRONG_FOR_STOP: list[object] = [5, True, {}, [5], [None], [['a']], ['a', 5], ['x'] * (MAX_STOPS + 1),
                                'x' * (MAX_STOP_LENGTH + 1), ['x' * (MAX_STOP_LENGTH + 1)]]
WRONG_FOR_LOGIT_BIAS: list[object] = [
    5, 'a', [], [1], {'a': 1}, {'': 1}, {'-1': 1}, {'1.0': 1}, {'1' * 19: 1}, {'1 ': 1}, {'１': 1}, {'1': '1'},
    {'1': True}, {'1': None}, {'1': 101}, {'1': -100.5}]
WRONG_FOR_STREAM_OPTIONS: list[object] = [5, 'a', True, [], {'include_usage': 1}, {'include_usage': 'true'}]
WRONG_FOR_RESPONSE_FORMAT = ['json_object', {}, {'type': 'xml'}, {'type': 'json_schema'},
                             {'type': 'json_object', 'json_schema': {'name': 'x', 'schema': {}}},
                             {'type': 'json_schema', 'json_schema': {'name': 'a b', 'schema': {}}},
                             {'type': 'json_schema', 'json_schema': {'name': 'x', 'schema': []}}]
WRONG: list[tuple[str, object]] = [
    *((name, value) for name in BOOLEANS for value in WRONG_FOR_BOOLEAN),
    *((name, value) for name in INTEGERS for value in WRONG_FOR_INTEGER),
    *((name, value) for name in NUMBERS for value in WRONG_FOR_NUMBER),
    *((name, value) for name in STRINGS for value in WRONG_FOR_STRING),
    *((name, value) for name, (least, greatest) in INTEGERS.items()
      for value in {least - 1, greatest + 1, 2 ** 63, 2 ** 64, -2 ** 64, 10 ** 400, -10 ** 400}),
    *((name, value) for name, (least, greatest) in NUMBERS.items()
      for value in (least - 0.001, greatest + 0.001, 1e300, -1e300)),
    *(('prompt', value) for value in WRONG_FOR_PROMPT),
    *(('stop', value) for value in WRONG_FOR_STOP),
    *(('logit_bias', value) for value in WRONG_FOR_LOGIT_BIAS),
    *(('stream_options', value) for value in WRONG_FOR_STREAM_OPTIONS),
    ('model', ''), ('model', 'x' * 257)]


def parsed(**fields: object) -> CompletionRequest:
    return parse(CompletionRequest, {'model': 'm', **fields})


def refusal(**fields: object) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        parsed(**fields)
    return caught.value


def test_the_lists_of_this_test_name_every_field() -> None:
    assert {*BOOLEANS, *INTEGERS, *NUMBERS, *STRINGS, 'prompt', 'stop', 'logit_bias', 'stream_options',
            'response_format'} == set(FIELDS)


@pytest.mark.parametrize(('name', 'value'), WRONG)
def test_wrong_value_is_refused_by_name(name: str, value: object) -> None:
    rest: dict[str, object] = {'max_tokens': INT64_MAX} if name == 'min_tokens' else {}
    rest |= {'stream': True} if name == 'stream_options' else {}
    error = refusal(**{**rest, name: value})
    assert error.param == name
    assert error.message.startswith(f'{name} must') and error.message.endswith('.')
    assert len(error.message) < 200
    for python_word in ('dict', 'list', 'str ', 'instance', 'None', 'Input', 'float', 'bool '):
        assert python_word not in error.message


@pytest.mark.parametrize('value', WRONG_FOR_RESPONSE_FORMAT)
def test_wrong_response_format_is_refused_by_name(value: object) -> None:
    assert refusal(response_format=value).param == 'response_format'


@pytest.mark.parametrize('name', [name for name in FIELDS if name != 'model'])
def test_null_means_the_default(name: str) -> None:
    assert parsed(**{name: None}) == parsed()


def test_model_is_required() -> None:
    for body in ({}, {'model': None}):
        with pytest.raises(InvalidRequestError) as caught:
            parse(CompletionRequest, body)
        assert (caught.value.message, caught.value.param) == ('model is required.', 'model')


def test_defaults_are_those_of_the_contract() -> None:
    request = parsed()
    assert {name: getattr(request, name) for name in FIELDS} == {
        'model': 'm', 'prompt': '', 'max_tokens': 16, 'temperature': 1, 'top_p': 1, 'n': 1, 'best_of': None,
        'stream': False, 'stream_options': None, 'logprobs': None, 'echo': False, 'stop': None, 'presence_penalty': 0,
        'frequency_penalty': 0, 'logit_bias': None, 'seed': None, 'suffix': None, 'user': None,
        'greedy_decoding': False, 'stream_batch_size': 0, 'top_k': 0, 'min_p': 0, 'typical_p': 1,
        'repetition_penalty': 1, 'min_tokens': 0, 'ignore_eos': False, 'add_special_tokens': True,
        'return_token_ids': False, 'response_format': None}


@pytest.mark.parametrize(('name', 'bounds'), [*INTEGERS.items(), *NUMBERS.items()])
def test_bounds_themselves_are_accepted(name: str, bounds: tuple[float, float]) -> None:
    rest: dict[str, object] = {'echo': True, 'max_tokens': INT64_MAX}
    for value in bounds:
        assert getattr(parsed(**{**rest, name: value}), name) == value


@pytest.mark.parametrize('fields', [
    {'temperature': 1}, {'stop': []}, {'stop': ['']}, {'stop': ''}, {'logit_bias': {}}, {'logit_bias': {'50256': -100}},
    {'prompt': ''}, {'prompt': [0]}, {'prompt': ['']}, {'prompt': [[0], [1, 2]]}, {'unheard_of': [1]},
    {'stop': ['x' * MAX_STOP_LENGTH] * MAX_STOPS}, {'stream': True, 'stream_options': {}},
    {'stream': True, 'stream_options': {'include_usage': None, 'other': 1}}, {'best_of': 1, 'stream': True},
    {'max_tokens': 0, 'echo': True}, {'top_p': 0}])
def test_what_clients_send_is_accepted(fields: dict[str, object]) -> None:
    parsed(**fields)


@pytest.mark.parametrize(('fields', 'param'), [
    ({'max_tokens': 0}, 'max_tokens'),
    ({'n': 3, 'best_of': 2}, 'best_of'),
    ({'best_of': 2, 'stream': True}, 'best_of'),
    ({'stream_options': {'include_usage': True}}, 'stream_options'),
    ({'min_tokens': 17}, 'min_tokens'), ({'suffix': 'x', 'echo': True}, 'suffix'),
])
def test_fields_that_do_not_agree_are_refused(fields: dict[str, object], param: str) -> None:
    error = refusal(**fields)
    assert error.param == param and param in error.message


@pytest.mark.parametrize('body', [
    {'prompt': [1.5] * 10 ** 6}, {'prompt': [1] * 10 ** 6 + ['a']}, {'prompt': [[1.5]] * 10 ** 6},
    {'stop': [1] * 10 ** 6}, {'logit_bias': {f'x{number}': 1 for number in range(10 ** 5)}},
    {'logit_bias': {str(number): 'x' for number in range(10 ** 5)}}], ids=lambda body: next(iter(body)))
def test_a_million_wrong_items_are_refused_quickly(body: dict[str, object]) -> None:
    started_s = time.monotonic()
    refusal(**body)
    assert time.monotonic() - started_s < 1


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                           | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
                           | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=6)


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)) | st.text(max_size=4), json_values, max_size=6))
def test_any_object_is_parsed_or_refused_by_name(body: dict[str, object]) -> None:
    try:
        request = parse(CompletionRequest, body)
    except InvalidRequestError as error:
        assert error.param in FIELDS
        json.dumps(error.body())
    else:
        assert all(getattr(request, name) == value for name, value in body.items()
                   if name in FIELDS and value is not None and name != 'stream_options')


def test_unknown_fields_are_logged_and_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level('DEBUG', 'sandle.wire'):
        request = parsed(**{'chat\nforged': 1})
    assert r"'chat\nforged'" in caplog.text
    assert not hasattr(request, 'chat\nforged')


@pytest.mark.parametrize(('prompt', 'prompts'), [
    ('', ('',)), ('a', ('a',)), (['a', 'b'], ('a', 'b')), ([1, 2], ((1, 2),)), ([[1, 2], [3]], ((1, 2), (3,))),
    ([0], ((0,),))])
def test_prompts_are_told_apart(prompt: Any, prompts: tuple[object, ...]) -> None:
    assert parsed(prompt=prompt).prompts() == prompts


def test_empty_stops_are_none() -> None:
    assert parsed(stop=['', 'a', '']).stops() == ('a',)
    assert parsed(stop='').stops() == parsed(stop=[]).stops() == parsed().stops() == ()
    assert parsed(stop='ab').stops() == ('ab',)


def test_fields_in_use_are_those_that_ask_for_something() -> None:
    assert parsed().fields_in_use() == {'model'}
    empty = parsed(prompt='', stop=[], logit_bias={}, suffix='', temperature=1.0, n=1, best_of=1, seed=None)
    assert empty.fields_in_use() == {'model'}
    used = parsed(prompt='a', logprobs=0, seed=0, best_of=2, logit_bias={'1': 0}, echo=True, temperature=0)
    assert used.fields_in_use() == {'model', 'prompt', 'logprobs', 'seed', 'best_of', 'logit_bias', 'echo',
                                    'temperature'}
    assert 'best_of' not in parsed(n=3, best_of=3).fields_in_use()


def test_token_ids_are_in_a_choice_only_when_asked_for() -> None:
    choice = CompletionChoice(text='', index=0, logprobs=None, finish_reason=None)
    assert choice.model_dump() == {'text': '', 'index': 0, 'logprobs': None, 'finish_reason': None}
    choice.token_ids = []
    assert choice.model_dump()['token_ids'] == [] and 'prompt_token_ids' not in choice.model_dump()
    assert json.loads(Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3).model_dump_json()) == {
        'prompt_tokens': 1, 'completion_tokens': 2, 'total_tokens': 3}
