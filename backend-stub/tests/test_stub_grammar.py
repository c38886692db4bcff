"""What the stub writes under a grammar comes to its end, and fits."""

import json

import pytest
from stub_grammar import Guided
from stub_vocab import END_OF_TEXT, Vocabulary

from sandle.engine.engine import Grammar
from sandle.engine.grammar import Grammars

MOST_TOKENS = 200


@pytest.mark.parametrize('answer', [' world!', '', '"quoted" {text}'])
@pytest.mark.parametrize('kind', ['string', 'integer', 'array', 'object', 'boolean', 'null'])
def test_json_of_any_kind_ends(kind: str, answer: str) -> None:
    vocabulary = Vocabulary(answer)
    schema = {'type': 'object', 'properties': {'found': {'type': kind}, 'more': {'type': kind}},
              'required': ['found', 'more'], 'additionalProperties': False}
    grammar = Grammar('start: %json ' + json.dumps(schema), 'response_format')
    guided = Guided(Grammars(vocabulary).compile(grammar)(), vocabulary.encode(answer))
    written = b''
    for _ in range(MOST_TOKENS):
        token = guided.next(may_end=True)
        if token == END_OF_TEXT or guided.is_complete:
            written += b'' if token == END_OF_TEXT else vocabulary.token_bytes(token)
            break
        written += vocabulary.token_bytes(token)
    found = json.loads(written)
    assert set(found) == {'found', 'more'}
