"""JSON schemas to measure libraries of constrained decoding with: ordinary ones, hard ones, and hostile ones.

Of each of the first two kinds some documents are known that fit it, and some that do not.
"""

from collections.abc import Mapping
from typing import NamedTuple

Schema = Mapping[str, object]


class Case(NamedTuple):
    """A schema with JSON documents that it allows and that it does not."""

    schema: Schema
    fitting: tuple[object, ...]
    other: tuple[object, ...]


def _object(properties: Mapping[str, object], **more: object) -> dict[str, object]:
    return {'type': 'object', 'properties': properties, 'required': list(properties), 'additionalProperties': False,
            **more}


PERSON = _object({'name': {'type': 'string'}, 'age': {'type': 'integer'},
                  'tags': {'type': 'array', 'items': {'type': 'string'}}})
TREE = {'$ref': '#/$defs/node', '$defs': {'node': _object({
    'value': {'type': 'number'}, 'children': {'type': 'array', 'items': {'$ref': '#/$defs/node'}}})}}
ENUM = [f'city-{number}' for number in range(1000)]

CASES: Mapping[str, Case] = {
    'object': Case(PERSON, ({'name': 'Ada', 'age': 36, 'tags': ['x', 'é\n']}, {'name': '', 'age': -1, 'tags': []}),
                   ({'name': 'Ada', 'age': 3.5, 'tags': []}, {'name': 'Ada', 'age': 36}, [])),
    'any object': Case({'type': 'object'}, ({}, {'a': [1, {'b': None}]}), ([], 'x')),
    'recursion': Case(TREE, ({'value': 1.5, 'children': [{'value': -2e9, 'children': []}]},),
                      ({'value': 1, 'children': [{'value': 1}]},)),
    'oneOf': Case({'oneOf': [_object({'kind': {'const': 'a'}, 'x': {'type': 'integer'}}),
                             _object({'kind': {'const': 'b'}, 'y': {'type': 'string'}})]},
                  ({'kind': 'a', 'x': 1}, {'kind': 'b', 'y': ''}), ({'kind': 'a', 'y': ''}, {'kind': 'c'})),
    'pattern': Case(_object({'code': {'type': 'string', 'pattern': '^[A-Z]{2}-[0-9]{3,5}$'}}),
                    ({'code': 'AB-123'}, {'code': 'ZZ-99999'}), ({'code': 'AB-12'}, {'code': 'ab-123'})),
    'pattern, not anchored': Case({'type': 'string', 'pattern': 'b+'}, ('abbc', 'b'), ('ac', '')),
    'formats': Case(_object({'at': {'type': 'string', 'format': 'date-time'},
                             'id': {'type': 'string', 'format': 'uuid'}}),
                    ({'at': '2024-02-29T12:30:00Z', 'id': '123e4567-e89b-12d3-a456-426614174000'},),
                    ({'at': 'yesterday', 'id': '123e4567-e89b-12d3-a456-426614174000'},)),
    'enum of 1000': Case({'type': 'string', 'enum': ENUM}, ('city-0', 'city-999'), ('city-1000', 'city-')),
    'numbers': Case(_object({'n': {'type': 'integer', 'minimum': -7, 'maximum': 1234},
                             'x': {'type': 'number', 'exclusiveMinimum': 0, 'maximum': 1}}),
                    ({'n': -7, 'x': 0.001}, {'n': 1234, 'x': 1}),
                    ({'n': 1235, 'x': 0.5}, {'n': -8, 'x': 0.5}, {'n': 0, 'x': 0}, {'n': 0, 'x': 1.5})),
    'lengths': Case(_object({'s': {'type': 'string', 'minLength': 2, 'maxLength': 4},
                             'a': {'type': 'array', 'items': {'type': 'boolean'}, 'minItems': 1, 'maxItems': 3}}),
                    ({'s': 'ab', 'a': [True]}, {'s': 'äöüß', 'a': [False] * 3}),
                    ({'s': 'a', 'a': [True]}, {'s': 'abcde', 'a': [True]}, {'s': 'ab', 'a': []})),
    'allOf': Case({'allOf': [{'type': 'object', 'properties': {'a': {'type': 'integer'}}, 'required': ['a']},
                             {'type': 'object', 'properties': {'b': {'type': 'string'}}, 'required': ['b']}]},
                  ({'a': 1, 'b': ''},), ({'a': 1}, {'b': ''}, {'a': 'x', 'b': ''})),
    'multipleOf': Case({'type': 'integer', 'multipleOf': 5}, (0, 15, -20), (7, 11)),
}


def _laughing(levels: int) -> Schema:
    """Every definition is two of the one before: small to write, 2 ** levels to spell out."""
    definitions: dict[str, object] = {'d0': {'type': 'string'}}
    for level in range(1, levels):
        below = {'$ref': f'#/$defs/d{level - 1}'}
        definitions[f'd{level}'] = {'type': 'array', 'prefixItems': [below, below], 'minItems': 2}
    return {'$ref': f'#/$defs/d{levels - 1}', '$defs': definitions}


def _nested(depth: int) -> Schema:
    schema: dict[str, object] = {'type': 'integer'}
    for _ in range(depth):
        schema = {'type': 'array', 'items': schema}
    return schema


HOSTILE: Mapping[str, Schema] = {
    'enum of 50,000 texts': {'enum': [f'{number:08d}-{number * 7919 % 100003}' for number in range(50_000)]},
    '10,000 optional properties': {'type': 'object', 'additionalProperties': False,
                                   'properties': {f'p{number}': {'type': 'integer'} for number in range(10_000)}},
    '60 levels': _nested(60),
    'an array of 10 ** 7 to 10 ** 8 items': {'type': 'array', 'items': {}, 'minItems': 10 ** 7, 'maxItems': 10 ** 8},
    'a text of up to 10 ** 9 characters': {'type': 'string', 'minLength': 5, 'maxLength': 10 ** 9},
    'an endless reference': {'$ref': '#'},
    '2 ** 40 by references': _laughing(40),
    'allOf of 30 anyOf': {'allOf': [{'anyOf': [
        {'type': 'object', 'properties': {f'a{place}': {'type': 'integer'}}, 'required': [f'a{place}']},
        {'type': 'object', 'properties': {f'b{place}': {'type': 'string'}}, 'required': [f'b{place}']}]}
        for place in range(30)]},
    '30 patterns at once': {'type': 'string', 'allOf': [{'pattern': f'a.{{{place}}}b'} for place in range(30)]},
    '((a{1,1000}){1,1000}){1,1000}': {'type': 'string', 'pattern': '^((a{1,1000}){1,1000}){1,1000}$'},
    'a choice 2,000 characters late': {'type': 'string', 'pattern': '^(.*a.{2000}|.*b.{1999})$'},
    'a pattern of 100,000 branches': {
        'type': 'string', 'pattern': '^(' + '|'.join(f'x{n * 7919 % 99991}y+' for n in range(100_000)) + ')$'},
    'numbers from 1e-300 to 1e300': {'type': 'number', 'minimum': 1e-300, 'maximum': 1e300},
}
