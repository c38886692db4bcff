"""What a backend sends reaches the client unchanged and at once."""

import re
import threading
import time

import pytest

from tests.end_to_end.rig import Client, Server, events_of

CHANGING = re.compile(rb'"id":"[^"]*"|"created":[0-9]+')


@pytest.mark.parametrize('prompt, fields', [
    ('Hello', {}), ('!fault crlf', {}), ('!fault split=3', {}), ('!fault error-after=2', {}), ('!fault tokens=200', {}),
    ('!fault answer=na\xefve \U0001f600\u2028 data: [DONE]', {}), ('!fault tokens=12', {'n': 3, 'logprobs': 2})])
def test_stream_is_the_backends_byte_for_byte(client: Client, direct: Client, prompt: str,
                                              fields: dict[str, object]) -> None:
    through, straight = [asked.complete(prompt, stream=True, **fields) for asked in (client, direct)]
    assert CHANGING.sub(b'', through.content) == CHANGING.sub(b'', straight.content) != b''
    for name in ('Content-Type', 'Cache-Control', 'X-Accel-Buffering'):
        assert through.headers[name] == straight.headers[name]


def test_unstreamed_answer_is_the_backends_byte_for_byte(client: Client, direct: Client) -> None:
    through, straight = [asked.complete(['a', 'b'], n=2, echo=True, logprobs=1) for asked in (client, direct)]
    assert CHANGING.sub(b'', through.content) == CHANGING.sub(b'', straight.content)


def test_tokens_arrive_one_by_one(client: Client) -> None:
    arrivals = []
    with client.complete('!fault tokens=5 delay=0.2', stream=True) as response:
        for line in response.iter_lines(chunk_size=1):
            if line.startswith(b'data: {'):
                arrivals.append(time.monotonic())
    gaps = [after - before for before, after in zip(arrivals, arrivals[1:])][:4]
    assert all(0.1 < gap < 0.4 for gap in gaps), gaps


def test_fifty_streams_at_once_do_not_wait_for_each_other(wrapper: Server) -> None:
    """In the original a fifth user waited until a stream had ended."""
    ends: list[float] = []

    def read() -> None:
        client = Client(wrapper.url)
        body = client.complete('!fault tokens=10 delay=0.1', stream=True).content
        client.close()
        if body.endswith(b'data: [DONE]\n\n') and len(events_of(body)) >= 10:
            ends.append(time.monotonic() - started_s)

    threads = [threading.Thread(target=read) for _ in range(50)]
    started_s = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 50
    assert max(ends) < 4  # one after the other they would take 50
