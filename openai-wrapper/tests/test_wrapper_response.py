"""Responses are read as HTTP says, however their bytes are cut; what two readers could take differently is refused."""

import contextlib
import http.client
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wrapper_response import MAX_HEAD_BYTES, NotHttpError, ResponseReader, request_bytes

CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
TWO = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: first\r\nx-a: second\r\n\r\nhi'


def read(*parts: bytes, ends: bool = False) -> tuple[ResponseReader, bytes]:
    reader = ResponseReader()
    body = b''.join(reader.feed(part) for part in parts)
    if ends:
        reader.end()
    return reader, body


def test_a_response_is_read() -> None:
    reader, body = read(TWO)
    assert (reader.status, body, reader.is_complete, reader.is_reusable) == (200, b'hi', True, True)
    assert reader.headers == {'content-length': '2', 'x-a': 'first'}


def test_a_connection_carries_one_response_after_the_other() -> None:
    reader = ResponseReader()
    for _ in range(3):
        reader.begin()
        assert (reader.is_silent, reader.has_head) == (True, False)
        assert reader.feed(TWO[:-1]) == b'h'
        assert (reader.has_head, reader.is_complete) == (True, False)
        assert reader.feed(TWO[-1:]) == b'i' and reader.is_reusable


@pytest.mark.parametrize('after', [TWO, b'garbage', b'\0', b'HTTP/1.1 200 OK\r\n'])
def test_what_comes_unasked_spoils_the_connection_and_not_the_response(after: bytes) -> None:
    reader, body = read(TWO + after)
    assert body == b'hi' and reader.is_complete and not reader.is_reusable


def test_interim_responses_are_passed_over() -> None:
    reader, body = read(b'HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n', TWO)
    assert reader.status == 200 and body == b'hi' and 'x-early' not in reader.headers and reader.is_reusable


@pytest.mark.parametrize('head', [b'HTTP/1.1 200 OK\r\n\r\n', b'HTTP/1.0 200 OK\r\n\r\n'])
def test_a_response_without_length_ends_with_its_connection(head: bytes) -> None:
    reader, body = read(head, b'until the', b' end')
    assert reader.is_complete is False
    reader.end()
    assert (body, reader.is_complete, reader.is_reusable) == (b'until the end', True, False)


@pytest.mark.parametrize('cut', [TWO[:-1], TWO[:20], CHUNKED + b'2\r\nhi\r\n', CHUNKED + b'2\r\nhi\r\n0\r\n'])
def test_a_response_that_is_cut_short_is_not_complete(cut: bytes) -> None:
    reader, _ = read(cut, ends=True)
    assert not reader.is_complete and not reader.is_reusable


@pytest.mark.parametrize(('response', 'is_reusable'), [
    (TWO.replace(b'X-A', b'Connection: close\r\nX-A'), False), (TWO.replace(b'1.1', b'1.0'), False),
    (b'HTTP/1.1 204 No Content\r\n\r\n', True), (CHUNKED + b'2\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n', True)])
def test_a_connection_is_used_again_only_where_it_may_be(response: bytes, is_reusable: bool) -> None:
    reader, _ = read(response)
    assert reader.is_complete and reader.is_reusable == is_reusable and 'x-trailer' not in reader.headers


@pytest.mark.parametrize('refused', [
    b'SSH-2.0-OpenSSH\r\n', b'<html>', b'HTTP/2 200\r\n\r\n', b'HTTP/1.1 2000 OK\r\n\r\n',
    TWO.replace(b'\r\nX-A', b'\r\nContent-Length: 3\r\nX-A'), TWO.replace(b': 2', b': -2'),
    TWO.replace(b': 2', b': 2, 2'), TWO.replace(b'X-A', b'Transfer-Encoding: chunked\r\nX-A'),
    TWO.replace(b'X-A', b'X A'), TWO.replace(b'first', b'a\0b'), TWO.replace(b'\r\n', b'\n'),
    CHUNKED + b'zz\r\n', CHUNKED + b'-1\r\n', CHUNKED + b'2\r\nhigh\r\n',
    CHUNKED + b'fffffffffffffffff\r\n',
    b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'])
def test_what_is_no_http_is_refused(refused: bytes) -> None:
    with pytest.raises(NotHttpError):
        read(refused)


@pytest.mark.parametrize('head', [
    b'HTTP/1.1 200 OK\r\nX: ' + b'x' * MAX_HEAD_BYTES, b'HTTP/1.1 200 OK\r\n' + b'X: y\r\n' * MAX_HEAD_BYTES,
    b'HTTP/1.1 100 Continue\r\n\r\n' * MAX_HEAD_BYTES])
def test_an_endless_head_is_refused(head: bytes) -> None:
    with pytest.raises(NotHttpError):
        read(*[head[start:start + 1000] for start in range(0, len(head), 1000)])


bodies = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draws a response, framed in one of the ways, and its body."""
    pieces = draw(bodies)
    body = b''.join(pieces)
    if draw(st.booleans()):
        return CHUNKED + b''.join(b'%x\r\n%b\r\n' % (len(piece), piece) for piece in pieces) + b'0\r\n\r\n', body
    return b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b' % (len(body), body), body


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in zip(ends, ends[1:])]


@given(responses(), st.lists(st.integers(0, 10 ** 6), max_size=8))
def test_how_the_bytes_are_cut_changes_nothing(response: tuple[bytes, bytes], places: list[int]) -> None:
    data, expected = response
    reader, body = read(*cut(data, places))
    assert body == expected and reader.is_complete and reader.is_reusable


class Bytes:
    """What http.client reads from instead of a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


@given(responses(), st.integers(0, 200), st.sampled_from([b'', b'\r', b'\n', b'\r\n', b' ', b':', b'\0', b'0', b'x']),
       st.integers(0, 3))
@example((TWO, b'hi'), 27, b'0', 0)
def test_a_damaged_response_is_refused_or_read_as_another_reader_does(
        response: tuple[bytes, bytes], place: int, put: bytes, taken: int) -> None:
    data = response[0]
    damaged = data[:place % len(data)] + put + data[place % len(data) + taken:]
    reader = ResponseReader()
    other = http.client.HTTPResponse(Bytes(damaged))  # type: ignore[arg-type]  # a socket in what it needs
    with contextlib.suppress(NotHttpError, http.client.HTTPException, ValueError):  # what either refuses is no matter
        body = reader.feed(damaged)
        reader.end()
        other.begin()
        others = other.status, other.read()
        assert not reader.is_complete or others == (reader.status, body)


@given(st.binary(max_size=300))
def test_any_bytes_at_all_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(NotHttpError):
        read(data, data, ends=True)


def test_a_request_is_written_and_keeps_its_lines() -> None:
    assert request_bytes('POST', '/x', {'Host': 'a', 'B': 'c'}, b'{}') == (
        b'POST /x HTTP/1.1\r\nHost: a\r\nB: c\r\nContent-Length: 2\r\n\r\n{}')
    assert request_bytes('GET', '/x', {'Host': 'a'}, None) == b'GET /x HTTP/1.1\r\nHost: a\r\n\r\n'
    for target, value in (('/x\r\nA: b', 'c'), ('/x', 'c\nD: e'), ('/x', 'c\r'), ('/x', '\r\n\r\nGET /')):
        with pytest.raises(ValueError, match='line end'):
            request_bytes('GET', target, {'A': value}, None)
