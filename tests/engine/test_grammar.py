"""Grammars compiled for a vocabulary of bytes, and what they let follow."""

import json
import time
from collections.abc import Iterator, Sequence

import pytest

from sandle import errors
from sandle.engine import grammar
from sandle.engine.engine import Grammar
from sandle.engine.grammar import Constraint, Grammars
from sandle.engine.grammar_proof import GrammarProof

END = 256
NEVER_CHOSEN = 257  # a token without text, which is written as
CALL = '[CALL]'
ENDS = frozenset({END, ord('!')})


class Bytes:
    """A tokenizer of 256 bytes and two special tokens."""

    vocab_size = 258

    def token_bytes(self, token: int) -> bytes:
        """See Tokenizer.token_bytes."""
        return bytes([token]) if token < 256 else b''

    def encode(self, text: str, add_special_tokens: bool) -> Sequence[int]:
        """See Tokenizer.encode."""
        assert not add_special_tokens
        return [NEVER_CHOSEN] if text == CALL else list(text.encode())

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See Tokenizer.detokenize."""
        return ''.join(CALL if token == NEVER_CHOSEN else chr(token) for token in tokens)


def schema(content: object) -> Grammar:
    """A grammar of one JSON schema."""
    return Grammar(f'start: %json {json.dumps(content)}', 'response_format')


def allowed(constraint: Constraint, may_end: bool = True) -> set[int]:
    """The tokens that may come next."""
    mask = constraint.allowed(ENDS, may_end)
    return set() if mask is None else {place for place in range(8 * len(mask)) if mask[place >> 3] >> (place & 7) & 1}


@pytest.fixture
def grammars() -> Iterator[Grammars]:
    """The grammars of a model with 258 tokens."""
    yield Grammars(Bytes())
    grammar.proof.close()


def after(begin: Grammars, wanted: Grammar, text: str) -> Constraint:
    """A constraint at some place of an answer."""
    constraint = begin.compile(wanted)()
    for byte in text.encode():
        assert byte in allowed(constraint), chr(byte)
        constraint.add(byte)
    return constraint


def test_allowed_are_the_tokens_that_the_schema_lets_follow(grammars: Grammars) -> None:
    constraint = after(grammars, schema({'enum': ['cat', 'cow']}), '"c')
    assert allowed(constraint) == {ord('a'), ord('o')}


def test_an_answer_may_end_where_its_grammar_is_fulfilled_and_only_there(grammars: Grammars) -> None:
    number = schema({'type': 'integer', 'minimum': 3, 'maximum': 12})
    assert allowed(after(grammars, number, '1')) == {ord('0'), ord('1'), ord('2')}
    at_the_end = after(grammars, schema({'type': 'integer', 'maximum': 99, 'minimum': 1}), '7')
    assert ENDS < allowed(at_the_end)
    assert allowed(at_the_end, may_end=False) == {*b'0123456789'}


def test_an_end_is_no_text_even_where_its_text_would_fit(grammars: Grammars) -> None:
    assert ord('!') not in allowed(after(grammars, schema({'type': 'string'}), '"a'))


def test_tokens_without_text_never_follow(grammars: Grammars) -> None:
    assert NEVER_CHOSEN not in allowed(after(grammars, Grammar(r'start: /(.|\n)*/', 'tools'), 'ab'))


def test_a_special_token_is_text_where_the_grammar_says_so(grammars: Grammars) -> None:
    """Also spelled out, as models write it whose tokenizer has no such token."""
    source = f'start: {json.dumps(CALL)} /[a-z]+/'
    constraint = grammars.compile(Grammar(source, 'tools', (CALL, '[ARGS]')))()
    assert allowed(constraint) == {NEVER_CHOSEN, ord('[')}
    assert constraint.special == {NEVER_CHOSEN: CALL.encode()}
    constraint.add(NEVER_CHOSEN)
    assert allowed(constraint, may_end=False) == {*range(ord('a'), ord('z') + 1)}
    assert allowed(grammars.compile(Grammar(source, 'tools'))()) == {ord('[')}


def test_a_constraint_is_complete_where_nothing_can_follow(grammars: Grammars) -> None:
    assert not after(grammars, schema({'const': 'x'}), '"x').is_complete
    at_the_end = after(grammars, schema({'const': 'x'}), '"x"')
    assert at_the_end.is_complete
    assert allowed(at_the_end, may_end=False) == set()


def test_answers_of_one_grammar_do_not_touch_each_other(grammars: Grammars) -> None:
    begin = grammars.compile(schema({'enum': ['ab', 'cd']}))
    one, other = begin(), begin()
    one.add(ord('"'))
    one.add(ord('a'))
    other.add(ord('"'))
    assert (allowed(one), allowed(other)) == ({ord('b')}, {ord('a'), ord('c')})


def test_a_token_that_was_not_allowed_fails_this_answer(grammars: Grammars) -> None:
    constraint = grammars.compile(schema({'type': 'object'}))()
    with pytest.raises(errors.InvalidRequestError) as caught:
        constraint.add(ord('x'))
    assert caught.value.param == 'response_format'


@pytest.mark.parametrize('content, reason', [
    ({'type': 'string', 'format': 'nonsense'}, 'nonsense'), ({'type': 'thing'}, 'thing'), ({'not': {}}, 'not'),
    ({'$ref': '#'}, 'no text'), ({'$ref': 'https://example.org/a'}, 'example.org'),
    ({'type': 'string', 'pattern': '('}, 'regex'), ({'allOf': [{'type': 'string'}, {'type': 'integer'}]}, 'types'),
    ({'const': 'x' * 200_000}, 'longer')])
def test_what_cannot_be_kept_is_refused(grammars: Grammars, content: object, reason: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=reason) as caught:
        grammars.compile(schema(content))
    assert caught.value.param == 'response_format'
    assert len(caught.value.message) < 500


def test_a_grammar_that_would_take_the_process_along_is_refused_and_others_go_on(grammars: Grammars) -> None:
    explosive = schema({'type': 'string', 'allOf': [{'pattern': f'a.{{{place}}}b'} for place in range(30)]})
    with pytest.raises(errors.InvalidRequestError, match='too much time or memory'):
        grammars.compile(explosive)
    assert allowed(grammars.compile(schema({'const': 1}))()) == {ord('1')}


def test_compiled_grammars_are_kept_but_not_for_ever(grammars: Grammars, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fault(source: str) -> str:
        asked.append(source)
        return ''

    monkeypatch.setattr(grammar.proof, 'fault', fault)
    for number in (*range(grammar.MAX_KEPT + 1), grammar.MAX_KEPT, 0):
        grammars.compile(schema({'const': number}))
    assert len(asked) == grammar.MAX_KEPT + 2


def test_a_process_that_is_gone_is_started_anew() -> None:
    proof = GrammarProof()
    assert proof.fault('start: "a"') == ''
    assert proof._process is not None
    proof._process.kill()
    proof._process.wait()
    deadline_s = time.monotonic() + 10
    while proof.fault('start: "a"') and time.monotonic() < deadline_s:
        pass
    assert proof.fault('start: "a"') == ''
    proof.close()
