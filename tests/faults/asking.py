"""Asks for many completions at once from one thread, and notes when each answer came. No connection is used twice."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.end_to_end.rig import KEY

DONE = b'data: [DONE]\n\n'


@dataclass(slots=True)
class Answer:
    """An answer as it came; times are seconds since it was asked for. `is_whole`: its framing came to its end."""

    sent_s: float
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b''
    is_whole: bool = False
    head_s: float = 0.0
    first_token_s: float = 0.0
    total_s: float = 0.0

    @property
    def is_done(self) -> bool:
        """Whether it is a stream that came to its end."""
        return self.status == 200 and self.is_whole and self.body.endswith(DONE)

    @property
    def error_code(self) -> object:
        """The code of the error that the answer is, or that ends it; None for none."""
        last = self.body.rstrip().rpartition(b'\n')[2].removeprefix(b'data: ')
        return json.loads(last)['error']['code'] if last.startswith(b'{"error"') else None


def ask_all(url: str, requests: Iterable[Mapping[str, object] | None], key: str = KEY) -> list[Answer]:
    """Sends all requests at once and returns their answers, in their order."""
    async def gather() -> list[Answer]:
        return await asyncio.gather(*(ask(url, request, key) for request in requests))
    return asyncio.run(gather())


async def ask(url: str, request: Mapping[str, object] | None, key: str = KEY) -> Answer:
    """Asks for a completion of `stub`, or without a request for the models; returns however much of an answer came."""
    address = urlsplit(url)
    what = 'GET /v1/models' if request is None else 'POST /v1/completions'
    body = b'' if request is None else json.dumps({'model': 'stub', **request}).encode()
    answer = Answer(time.monotonic())
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write((f'{what} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n'
                      f'Authorization: Bearer {key}\r\nContent-Type: application/json\r\n'
                      f'Content-Length: {len(body)}\r\n\r\n').encode() + body)
        await _read(reader, answer)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # which is_whole tells
    finally:
        answer.total_s = time.monotonic() - answer.sent_s
        writer.close()
    return answer


async def _read(reader: asyncio.StreamReader, answer: Answer) -> None:
    status, *lines = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1').split('\r\n')
    answer.head_s = time.monotonic() - answer.sent_s
    answer.status = int(status.split()[1])
    answer.headers = {name.lower(): value.strip() for name, _, value in (line.partition(':') for line in lines)}
    if 'content-length' in answer.headers:
        answer.body = await reader.readexactly(int(answer.headers['content-length']))
    else:
        while size := int(await reader.readuntil(b'\r\n'), 16):
            answer.body += (await reader.readexactly(size + 2))[:-2]
            if not answer.first_token_s and b'data: {' in answer.body:
                answer.first_token_s = time.monotonic() - answer.sent_s
        await reader.readexactly(2)
    answer.is_whole = True


def percentile(values: Iterable[float], share: float) -> float:
    """Returns the value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
