"""Any bytes are an object or a clear refusal, quickly."""

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandle.errors import InvalidRequestError
from sandle.jsonbody import MAX_DEPTH, parse_object

values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                      | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def refusal(body: bytes) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        parse_object(body)
    assert caught.value.status == 400
    assert len(caught.value.message) < 500
    json.dumps(caught.value.body()).encode('utf-8')
    return caught.value


@given(st.dictionaries(st.text(), values), st.booleans())
def test_any_object_round_trips(value: dict[str, object], ensure_ascii: bool) -> None:
    assert parse_object(json.dumps(value, ensure_ascii=ensure_ascii).encode('utf-8')) == value


json_like = st.lists(st.sampled_from([
    b'{', b'}', b'[', b']', b'"', b':', b',', b'"a"', b'"a":1', b'1', b'-', b'1e999', b'NaN', b'\\ud800', b'\\udc00',
    b'\\', b'null', b'true', b' ', b'\n', b'\xff', b'\xef\xbb\xbf', b'9' * 5000])).map(b''.join)


@given(st.binary() | json_like)
@example(b'')
@example(b'\x00')
@example(b'{"a": "\\udc00"}')
@example(b'{"\\ud800": 1, "\\ud800": 2}')
def test_any_bytes_are_an_object_or_a_refusal(body: bytes) -> None:
    try:
        value = parse_object(body)
    except InvalidRequestError as error:
        error.message.encode('utf-8')
        assert error.param is None or error.param.encode('utf-8')
    else:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode('utf-8')


@pytest.mark.parametrize(('body', 'words'), [
    (b'', 'Expecting value at line 1, column 1'),
    (b'{"a": 1', 'at line 1, column 8'),
    (b'{"a": 1}x', 'Extra data'),
    (b"{'a': 1}", 'double quotes'),
    (b'{"a": 1,}', 'at line 1'),
    (b'{"a": "\n"}', 'Invalid control character'),
    (b'{"a": NaN}', 'NaN is not a JSON number'),
    (b'{"a": [-Infinity]}', '-Infinity is not a JSON number'),
    (b'{"a": 1e999}', 'out of range'),
    (b'{"a": -1e999}', 'out of range'),
    (b'{"a": 1' + b'0' * 5000 + b'}', '4300 digits'),
    (b'\xef\xbb\xbf{"a": 1}', 'BOM'),
    ('{"a": 1}'.encode('utf-16'), 'not valid UTF-8 at byte 0'),
    ('{"a": 1}'.encode('utf-32'), 'UTF-8'),
    ('{"a": 1}'.encode('utf-16-le'), ''),
    (b'{"a": "\xff"}', 'not valid UTF-8 at byte 7'),
    (b'{"a": "\xed\xa0\x80"}', 'not valid UTF-8'),  # a surrogate in bytes
    (b'{"a": "\\ud800"}', 'surrogate'),
    (b'{"a": "\\udfff"}', 'surrogate'),
    (b'{"a": "\\udc00\\ud800"}', 'surrogate'),
    (b'{"\\ud800": 1}', 'surrogate'),
    (b'{"a": [{"b": "x\\uD83D"}]}', 'surrogate'),
    (b'[]', 'must be a JSON object, not an array'),
    (b'"a"', 'not a string'),
    (b'1', 'not a number'),
    (b'1.5', 'not a number'),
    (b'true', 'not a boolean'),
    (b'null', 'not null'),
])
def test_refusal_says_why(body: bytes, words: str) -> None:
    assert words in refusal(body).message


def test_surrogate_pairs_are_characters() -> None:
    assert parse_object(b'{"a": "\\ud83d\\ude42", "b": "\\\\ud800"}') == {'a': '\U0001f642', 'b': '\\ud800'}


@pytest.mark.parametrize('body', [b'{"a": 1, "a": 2}', b'{"b": [{"a": 1, "a": 1}]}', b'{"a": 1, "\\u0061": 2}'])
def test_duplicate_keys_are_refused_by_name(body: bytes) -> None:
    error = refusal(body)
    assert error.param == 'a' and "'a' occurs twice" in error.message


def test_a_long_duplicate_key_is_not_sent_back_whole() -> None:
    key = b'a' * 10 ** 6
    assert refusal(b'{"' + key + b'": 1, "' + key + b'": 2}').param is None


def test_depth_is_bounded_exactly() -> None:
    def nested(depth: int) -> bytes:  # the object itself is one level
        return b'{"a": ' + b'[' * (depth - 1) + b']' * (depth - 1) + b'}'

    parse_object(nested(MAX_DEPTH))
    assert 'nested deeper' in refusal(nested(MAX_DEPTH + 1)).message


@pytest.mark.parametrize('body', [
    b'[' * 200_000, b'{"a":' * 200_000, b'{"a":' + b'[' * 200_000 + b']' * 200_000 + b'}',
    b'{"a":' * 200_000 + b'1' + b'}' * 200_000, b'{"a": 1' + b'0' * 3_000_000 + b'}', b'{"a": "' + b'\\' * 3_000_000,
    b'{' + b'"a",' * 500_000, b'{"a": "\\ud800' + b'x' * 3_000_000 + b'"}'])
def test_hostile_bodies_are_refused_quickly(body: bytes) -> None:
    started_s = time.monotonic()
    refusal(body)
    assert time.monotonic() - started_s < 1
