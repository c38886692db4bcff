"""Opens many streams at once through a gateway and says how they came: the first token, the delay of every event, cuts.

Expects the events of bench/gateway_backend.py, which say when they were sent. While streams run, all that is done with
what comes is to note the clock; it is read when they have ended.
"""

import asyncio
import json
import math
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.gateway_backend import DONE, MODEL
from bench.load import percentile

SENT_AT = re.compile(rb'"text":" (\d{10}\.\d{6})"')
KEPT_RATE, KEPT_DELAY_MS = 0.95, 250.0
EXTRA_S = 30.0  # that streams may take beyond their own length before they count as cut


@dataclass(frozen=True, slots=True)
class Load:
    """So many streams at once, each of so many tokens, so many of them a second."""

    streams: int
    tokens: int
    tokens_per_s: float

    @property
    def interval_s(self) -> float:
        """Seconds between a stream's tokens."""
        return 1 / self.tokens_per_s

    @property
    def duration_s(self) -> float:
        """How long a stream lasts at the least, first wait included."""
        return self.tokens * self.interval_s


@dataclass(frozen=True, slots=True)
class StreamsResult:
    """What became of a load. `rate`: the share of the asked tokens a second that the slowest stream got; a delay is the
    time from an event's leaving the backend to its arrival here; under load several events come in one read."""

    load: Load
    whole: int
    rate: float
    chunks_per_s: float
    first_token_p50_s: float
    first_token_p99_s: float
    delay_p50_ms: float
    delay_p99_ms: float
    events_per_read: float

    @property
    def keeps_up(self) -> bool:
        """Whether every stream ended whole, at its rate, and without falling behind."""
        return (self.whole == self.load.streams and self.rate >= KEPT_RATE and self.delay_p99_ms <= KEPT_DELAY_MS)


@dataclass(slots=True)
class Stream(asyncio.Protocol):
    """One client: its request, and every read with its time."""

    request: bytes
    ended: asyncio.Future[None]
    sent_s: float = 0.0
    times: list[float] = field(default_factory=list)
    reads: list[bytes] = field(default_factory=list)
    _transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self.request)
        self.sent_s = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self.times.append(time.monotonic())
        self.reads.append(data)
        if DONE in data:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        """Hangs up."""
        if self._transport is not None:
            self._transport.close()

    def arrivals(self) -> list[tuple[float, float]]:
        """Returns of every event when it was sent and when its last byte came."""
        found = []
        text = b''
        for at_s, read in zip(self.times, self.reads):
            text += read
            last = 0
            for match in SENT_AT.finditer(text):
                found.append((float(match[1]), at_s))
                last = match.end()
            text = text[last:]
        return found

    @property
    def has_done(self) -> bool:
        """Whether it ended as a stream should."""
        return DONE in b''.join(self.reads[-2:])


def measure_streams(url: str, key: str, load: Load) -> StreamsResult:
    """Runs a load once. Raises OSError when a connection is refused."""
    return summarise(asyncio.run(_run(url, key, load)), load)


async def _run(url: str, key: str, load: Load) -> list[Stream]:
    address = urlsplit(url)
    body = json.dumps({'model': MODEL, 'prompt': 'Hello', 'max_tokens': load.tokens, 'stream': True}).encode()
    request = (f'POST /v1/completions HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {key}\r\n'
               f'Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n').encode() + body
    loop = asyncio.get_running_loop()
    streams = [Stream(request, loop.create_future()) for _ in range(load.streams)]
    await asyncio.gather(*(loop.create_connection(lambda stream=stream: stream,  # type: ignore[misc]  # a default
                                                  address.hostname or '', address.port or 80) for stream in streams))
    await asyncio.wait([stream.ended for stream in streams], timeout=load.duration_s + EXTRA_S)
    for stream in streams:
        stream.close()
    return streams


def summarise(streams: list[Stream], load: Load) -> StreamsResult:
    """Returns the figures of streams that have ended, or were given up."""
    arrivals = [stream.arrivals() for stream in streams]
    first_s = [came[0][1] - stream.sent_s if came else math.inf for stream, came in zip(streams, arrivals)]
    delays_ms = [1000 * (came_s - sent_s) for came in arrivals for sent_s, came_s in came]
    spans_s = [came[-1][1] - came[0][1] for came in arrivals if came]
    everything = [came_s for came in arrivals for _, came_s in came]
    if not everything:
        return StreamsResult(load, 0, 0.0, 0.0, *[math.inf] * 5)
    # Over the middle of the run: streams begin and end one by one.
    begun_s, ended_s = min(everything), max(everything)
    middle = [at_s for at_s in everything if 0.25 <= (at_s - begun_s) / (ended_s - begun_s or 1) <= 0.75]
    return StreamsResult(
        load, sum(stream.has_done and len(came) == load.tokens for stream, came in zip(streams, arrivals)),
        (load.tokens - 1) * load.interval_s / max(*spans_s, 1e-9), len(middle) / max((ended_s - begun_s) / 2, 1e-9),
        percentile(first_s, 50), percentile(first_s, 99), percentile(delays_ms, 50), percentile(delays_ms, 99),
        len(everything) / sum(len(stream.reads) for stream in streams))
