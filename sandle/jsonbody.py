"""Strict JSON: what a request body may be. Anything else is an InvalidRequestError that says why."""

import json
import math
import re
from typing import NoReturn

from sandle.errors import InvalidRequestError

type_names = {list: 'an array', str: 'a string', int: 'a number', float: 'a number', bool: 'a boolean',
              type(None): 'null'}
SURROGATE_ESCAPE = re.compile(rb'\\u[dD][89a-fA-F]')
MAX_DEPTH = 64
LONGEST_NAME = 64  # of a key, in characters, that an error repeats


def parse_object(body: bytes) -> dict[str, object]:
    """Parses a request body that must be one JSON object.

    Refuses what Python's parser lets through or cannot bear: other encodings than UTF-8, NaN and infinities (also as
    1e999), duplicate keys, lone surrogates, nesting deeper than MAX_DEPTH, integers of thousands of digits.

    Raises InvalidRequestError.
    """
    try:
        text = body.decode('utf-8')
    except UnicodeDecodeError as error:
        raise _not_json(f'it is not valid UTF-8 at byte {error.start}') from None
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant,
                           parse_float=_finite_float)
    except RecursionError:
        raise _not_json(f'it is nested deeper than {MAX_DEPTH} levels') from None
    except json.JSONDecodeError as error:
        raise _not_json(f'{error.msg} at line {error.lineno}, column {error.colno}') from None
    except ValueError as error:  # an integer of more digits than Python converts
        raise _not_json(str(error).split(';')[0]) from None
    if not isinstance(value, dict):
        raise InvalidRequestError(f'The request body must be a JSON object, not {type_names[type(value)]}.')
    if body.count(b'[') + body.count(b'{') > MAX_DEPTH:  # else it cannot be deeper, however long it is
        _check_depth(value)
    if SURROGATE_ESCAPE.search(body):
        _refuse_lone_surrogates(value)
    return value


def _not_json(why: str) -> InvalidRequestError:
    return InvalidRequestError(f'We could not parse the JSON body of your request: {why}.')


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidRequestError(f'The key {key[:LONGEST_NAME]!r} occurs twice in one JSON object.',
                                          param=key if key.isidentifier() and len(key) <= LONGEST_NAME else None)
            seen.add(key)
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise _not_json(f'{name} is not a JSON number')


def _finite_float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise _not_json(f'the number {digits[:20]} is out of range')
    return value


def _check_depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level if isinstance(outer, (dict, list))
                 for inner in (outer.values() if isinstance(outer, dict) else outer) if isinstance(inner, (dict, list))]
        if not level:
            return
    raise _not_json(f'it is nested deeper than {MAX_DEPTH} levels')


def _refuse_lone_surrogates(value: dict[str, object]) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode('utf-8')
    except UnicodeEncodeError:
        raise _not_json('a string holds half of a surrogate pair') from None
