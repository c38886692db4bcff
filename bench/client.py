"""Asks an OpenAI-style server for a completion over HTTP and notes when each piece of the answer arrived.

One connection a request. While an answer comes in, all that is done is to read the clock: what the bytes mean is found
out when the answer is there, so that the client takes little from the machine that it measures.
"""

import asyncio
import bisect
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

READ_BYTES = 65_536
TIMEOUT_S = 900.0


class AnswerError(Exception):
    """The server's answer is not a completion: another status, an error event, or bytes that make no sense."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion. Times are seconds of `time.perf_counter`; `arrivals` are those of the pieces that held text.

    `text` is that of every choice, as it came; an unstreamed answer is one piece.
    """

    sent_s: float
    ended_s: float
    arrivals: tuple[float, ...]
    text: str
    finish_reason: str | None
    completion_tokens: int | None

    @property
    def first_token_s(self) -> float:
        """Seconds from the request to its first text; the whole time when there was none."""
        return (self.arrivals[0] if self.arrivals else self.ended_s) - self.sent_s

    @property
    def gaps_s(self) -> list[float]:
        """Seconds between one piece of text and the next."""
        return [later - earlier for earlier, later in zip(self.arrivals, self.arrivals[1:])]


@dataclass(slots=True)
class Exchange:
    """The bytes of a response as they came, each read with its time."""

    sent_s: float
    times: list[float] = field(default_factory=list)
    reads: list[bytes] = field(default_factory=list)
    ended_s: float = 0.0


async def complete(url: str, body: Mapping[str, object], timeout_s: float = TIMEOUT_S) -> Answer:
    """Sends a request to `url`/v1/completions and returns the answer. Raises AnswerError, OSError and TimeoutError."""
    return understand(await exchange(url, body, timeout_s))


async def exchange(url: str, body: Mapping[str, object], timeout_s: float = TIMEOUT_S,
                   leave_after_s: float | None = None) -> Exchange:
    """Sends a request and returns the raw response; goes away after `leave_after_s` seconds, if they are given."""
    address = urlsplit(url)
    data = json.dumps(body).encode()
    head = (f'POST {address.path}/v1/completions HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n'
            f'Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n')
    result = Exchange(time.perf_counter())
    try:
        async with asyncio.timeout(timeout_s if leave_after_s is None else leave_after_s):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                writer.write(head.encode() + data)
                while piece := await reader.read(READ_BYTES):
                    result.times.append(time.perf_counter())
                    result.reads.append(piece)
            finally:
                writer.close()
    except TimeoutError:
        if leave_after_s is None:
            raise
    result.ended_s = time.perf_counter()
    return result


def understand(result: Exchange) -> Answer:
    """Returns the completion that a whole response holds, streamed or not. Raises AnswerError."""
    raw = b''.join(result.reads)
    head, separator, _ = raw.partition(b'\r\n\r\n')
    status, _, fields = head.decode('latin-1').partition('\r\n')
    if not separator or not status.startswith('HTTP/1.1 200'):
        raise AnswerError(f'{status}: {raw[len(head):][:300].decode("utf-8", "replace").strip()}')
    is_chunked = 'transfer-encoding: chunked' in fields.lower()
    pieces = list(_chunks(raw, len(head) + 4) if is_chunked else [(raw[len(head) + 4:], len(raw))])
    if 'text/event-stream' not in fields.lower():
        return _unary(b''.join(piece for piece, _ in pieces), result)
    if not is_chunked:  # the reads themselves are the pieces
        pieces = list(_by_read(result.reads, len(head) + 4))
    return _stream(pieces, result)


def _chunks(raw: bytes, start: int) -> Iterator[tuple[bytes, int]]:
    """Yields each chunk of a chunked body and the offset in `raw` at which it ends."""
    while True:
        line_end = raw.find(b'\r\n', start)
        try:
            size = int(raw[start:line_end].split(b';')[0], 16)
        except ValueError:
            raise AnswerError('the answer was cut off') from None
        if size == 0:
            return
        start = line_end + 2
        yield raw[start:start + size], start + size
        start += size + 2


def _by_read(reads: Sequence[bytes], start: int) -> Iterator[tuple[bytes, int]]:
    offset = 0
    for read in reads:
        end = offset + len(read)
        if end > start:
            yield read[max(start - offset, 0):], end
        offset = end


def _unary(body: bytes, result: Exchange) -> Answer:
    try:
        answer = json.loads(body)
        text = ''.join(choice['text'] for choice in answer['choices'])
        reason = answer['choices'][-1].get('finish_reason')
    except (ValueError, LookupError, TypeError):
        raise AnswerError(f'not a completion: {body[:300]!r}') from None
    return Answer(result.sent_s, result.ended_s, (result.ended_s,), text, reason, _tokens(answer))


def _stream(pieces: Sequence[tuple[bytes, int]], result: Exchange) -> Answer:
    ends = []  # offset in the response at which each read ended
    offset = 0
    for read in result.reads:
        offset += len(read)
        ends.append(offset)
    texts: list[str] = []
    arrivals: list[float] = []
    reason: str | None = None
    tokens: int | None = None
    for event, end in _events(pieces):
        if 'error' in event and event['error']:
            raise AnswerError(f'the stream ended with {event["error"]}')
        tokens = _tokens(event) or tokens
        for choice in event.get('choices') or []:
            if choice.get('text'):
                texts.append(choice['text'])
                arrivals.append(result.times[bisect.bisect_left(ends, end)])
            reason = choice.get('finish_reason') or reason
    if reason is None:
        raise AnswerError('the stream has no end')
    return Answer(result.sent_s, result.ended_s, tuple(arrivals), ''.join(texts), reason, tokens)


def _events(pieces: Sequence[tuple[bytes, int]]) -> Iterator[tuple[dict[str, Any], int]]:
    """Yields the JSON events of a stream, each with the offset by which it had arrived."""
    buffer = b''
    for piece, end in pieces:
        buffer = (buffer + piece).replace(b'\r\n', b'\n')
        *whole, buffer = buffer.split(b'\n\n')
        for event in whole:
            if event.startswith(b'data: {'):
                yield json.loads(event[6:]), end


def _tokens(event: Mapping[str, Any]) -> int | None:  # Any: JSON of another program
    usage = event.get('usage')
    return usage.get('completion_tokens') if isinstance(usage, dict) else None
