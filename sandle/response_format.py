"""From `response_format` to the grammar that keeps an answer so."""

import json
from collections.abc import Mapping

from sandle.engine.engine import Grammar
from sandle.generation_protocol import ResponseFormat

# Models that are not sure of the next word like to write white space, and would go on for ever: in each place that JSON
# has for it there may be one space, or a line end with the next line's indentation.
LAYOUT = {'whitespace_pattern': '( |\\n[ \\t]{0,20})'}


def grammar_of(wanted: ResponseFormat | None) -> Grammar | None:
    """Returns the grammar of an answer in some format; None for any text."""
    rule = rule_of(wanted)
    return None if rule is None else Grammar(f'start: {rule}', 'response_format')


def rule_of(wanted: ResponseFormat | None) -> str | None:
    """Returns what a grammar says for a format; None for any text."""
    if wanted is None or wanted.type == 'text':
        return None
    return json_rule({'type': 'object'} if wanted.json_schema is None else wanted.json_schema.schema_)


def json_rule(schema: Mapping[str, object]) -> str:
    """Returns what a grammar says for JSON of a schema."""
    return f'%json {json.dumps({"x-guidance": LAYOUT, **schema})}'
