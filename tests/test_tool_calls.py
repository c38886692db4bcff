"""Calls in an answer: the forms that templates teach, their grammars, and how calls are read back."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandle import errors
from sandle.chat_protocol import ChatRequest
from sandle.engine.engine import Grammar
from sandle.engine.grammar import Grammars
from sandle.tool_calls import CallPiece, CallReader, TextPiece
from sandle.tool_forms import (APRIEL, FUNCTION, GRANITE, MARKED, MISTRAL, MISTRAL_ARGS, MISTRAL_SPACED, NEMOTRON,
                               PARAMETERS, PLAIN, ToolForm, grammar_of)

WEATHER = {'type': 'object', 'properties': {'city': {'$ref': '#/$defs/city'}}, 'required': ['city'],
           'additionalProperties': False, '$defs': {'city': {'type': 'string'}}}
TOOLS = [{'type': 'function', 'function': {'name': 'weather', 'parameters': WEATHER}},
         {'type': 'function', 'function': {'name': 'now'}}]
FORMS = [MARKED, MISTRAL, MISTRAL_SPACED, MISTRAL_ARGS, GRANITE, NEMOTRON, APRIEL, FUNCTION, PARAMETERS, PLAIN]


class Bytes:
    """A tokenizer of single bytes."""

    vocab_size = 256

    def token_bytes(self, token: int) -> bytes:
        """See sandle.engine.grammar.Tokenizer."""
        return bytes([token])

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """See sandle.engine.grammar.Tokenizer."""
        return list(text.encode())

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See sandle.engine.grammar.Tokenizer."""
        return bytes(tokens).decode('latin-1')


grammars = Grammars(Bytes())


def written(form: ToolForm, *calls: tuple[str, str]) -> str:
    """An answer of calls alone."""
    between = form.between or ' '
    return form.opening + between.join(f'{name}{form.middle}{arguments}{form.closing}'
                                       for name, arguments in calls) + form.end


def request(**fields: Any) -> ChatRequest:
    """A request with tools."""
    return ChatRequest.model_validate({'model': 'm', 'messages': [{'role': 'user', 'content': 'x'}], 'tools': TOOLS,
                                       **fields})


def fits(grammar: Grammar, text: str) -> bool:
    """Whether a whole answer keeps to a grammar."""
    constraint = grammars.compile(grammar)()
    for byte in text.encode():
        mask = constraint.allowed(frozenset(), True)
        if mask is None or not mask[byte >> 3] >> (byte & 7) & 1:
            return False
        constraint.add(byte)
    return constraint.may_end


def read(form: ToolForm, pieces: list[str]) -> tuple[str, list[tuple[str, str]], CallReader]:
    """What is read out of an answer: text, calls, and the reader at the end."""
    reader, text, calls = CallReader(form), '', list[list[str]]()
    for place, piece in enumerate(pieces, 1):
        for found in reader.read(piece, is_last=place == len(pieces)):
            if isinstance(found, TextPiece):
                text += found.text
            elif found.name is not None:
                assert found == CallPiece(len(calls), found.name, '')
                calls.append([found.name, ''])
            else:
                assert found.index == len(calls) - 1
                calls[-1][1] += found.arguments
    return text, [(name, arguments) for name, arguments in calls], reader


@pytest.mark.parametrize('form', FORMS)
def test_grammars_let_through_what_is_asked_for_and_nothing_else(form: ToolForm) -> None:
    weather, now = ('weather', '{"city": "Oslo"}'), ('now', '{}')
    auto, required = grammar_of(request(), form), grammar_of(request(tool_choice='required'), form)
    named = grammar_of(request(tool_choice={'type': 'function', 'function': {'name': 'now'}}), form)
    single = grammar_of(request(parallel_tool_calls=False), form)
    for wanted in (auto, required):
        assert fits(wanted, written(form, weather)) and fits(wanted, written(form, now))
        assert not fits(wanted, written(form, ('weather', '{"city": 5}')))
        assert not fits(wanted, written(form, ('other', '{}')))
        assert not fits(wanted, written(form, weather)[:-1])
        assert fits(wanted, written(form, weather, now)) == (not form.stands_alone)
    assert fits(auto, 'It is fine.\nYes < 3 and <tool') and not fits(required, 'It is fine.')
    assert fits(named, written(form, now)) and not fits(named, written(form, weather))
    assert not fits(single, written(form, weather, now))
    if not form.stands_alone:
        assert fits(auto, 'Let me see.\n' + written(form, weather)) and not fits(auto, f'See: {form.mark}weather')


def test_text_or_a_schema_beside_marked_calls() -> None:
    both = grammar_of(request(response_format={'type': 'json_object'}), MARKED)
    assert fits(both, '{"a": 1}') and fits(both, written(MARKED, ('now', '{}'))) and not fits(both, 'text')
    with pytest.raises(errors.InvalidRequestError) as caught:
        grammar_of(request(response_format={'type': 'json_object'}), PLAIN)
    assert caught.value.param == 'response_format'


def test_parameters_must_be_those_of_an_object() -> None:
    tools = [{'type': 'function', 'function': {'name': 'f', 'parameters': {'type': 'string'}}}]
    with pytest.raises(errors.InvalidRequestError) as caught:
        grammar_of(request(tools=tools), MARKED)
    assert caught.value.param == 'tools'


objects = st.dictionaries(st.text(), st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner)
                                                  | st.dictionaries(st.text(), inner), max_leaves=5), max_size=3)


@given(st.sampled_from(FORMS), st.lists(objects, min_size=1, max_size=3), st.lists(st.integers(0, 400)), st.booleans())
def test_calls_are_read_however_the_answer_is_cut(form: ToolForm, arguments: list[dict[str, object]], cuts: list[int],
                                                  has_text: bool) -> None:
    calls = [(f'f{place}', json.dumps(each, ensure_ascii=place % 2 == 0)) for place, each in enumerate(arguments)]
    calls = calls[:1] if form.stands_alone else calls
    text = 'a < b <tool\n' if has_text and not form.stands_alone else ''
    answer = text + written(form, *calls)
    places = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})
    pieces = [answer[start:end] for start, end in itertools.pairwise(places)]
    assert read(form, pieces)[:2] == (text, calls)
    assert read(form, pieces)[2].has_called
    for end in (len(answer) - 1, len(answer) // 2):
        *_, reader = read(form, [answer[:end]])
        assert not reader.has_called or reader.calls < len(calls)


@given(st.sampled_from(FORMS), st.text(alphabet='<tool_cal>{x\n'), st.integers(1, 5))
def test_text_that_calls_nothing_comes_out_whole(form: ToolForm, text: str, size: int) -> None:
    if form.mark in text:
        return
    pieces = [text[start:start + size] for start in range(0, len(text), size)] or ['']
    assert read(form, pieces)[:2] == (text, [])
