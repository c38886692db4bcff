"""The load generator counts what a server sent, and notices what went wrong."""

import asyncio
import time
from itertools import pairwise

import pytest

from bench.client import Answer, AnswerError, Exchange, complete, exchange, understand
from bench.load import Case, Dialect, LoadError, bodies, measure, percentile, summarise
from tests.end_to_end.rig import Server

IDS = Dialect('stub', 300)
TEXT = Dialect('stub', 300, takes_ids=False)
HEAD = b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n'


def response(*reads: bytes) -> Exchange:
    """Returns a response of which read number n came at n seconds, counted from 1."""
    return Exchange(0.0, [1.0 + number for number in range(len(reads))], list(reads), float(len(reads)))


def event(text: str, reason: str = 'null', usage: str = 'null') -> bytes:
    return (f'data: {{"choices": [{{"index": 0, "text": "{text}", "finish_reason": {reason}}}], "usage": {usage}}}'
            '\n\n').encode()


def chunk(data: bytes) -> bytes:
    return f'{len(data):x}\r\n'.encode() + data + b'\r\n'


def test_measure_counts_the_tokens_of_every_request(stub: Server) -> None:
    begun_s = time.perf_counter()
    result = measure(stub.url, Case('x', 4, 8, own_tokens=10, max_tokens=20), IDS, 'seed')
    took_s = time.perf_counter() - begun_s
    assert (result.requests, result.completion_tokens, result.short_answers) == (8, 160, 0)
    assert 2 * 19 * 0.005 <= result.wall_s <= took_s
    assert result.tokens_per_s == pytest.approx(160 / result.wall_s)
    assert 4 <= result.inter_token_p50_ms <= result.inter_token_p99_ms <= result.inter_token_max_ms


def test_measure_keeps_to_its_concurrency(stub: Server) -> None:
    one = measure(stub.url, Case('x', 1, 4, max_tokens=20), IDS, 'seed')
    four = measure(stub.url, Case('x', 4, 4, max_tokens=20), IDS, 'seed')
    assert one.wall_s > 2 * four.wall_s


def test_measure_fails_with_a_refused_request(stub: Server) -> None:
    with pytest.raises(LoadError, match='404'):
        measure(stub.url, Case('x', 2, 4), Dialect('another', 300), 'seed')


def test_an_unstreamed_answer_is_understood(stub: Server) -> None:
    answer = asyncio.run(complete(stub.url, {'model': 'stub', 'prompt': 'a', 'max_tokens': 2, 'temperature': 0}))
    assert answer.completion_tokens == 2 and answer.text and answer.finish_reason == 'length'


def test_a_client_may_leave_early(stub: Server) -> None:
    body = {'model': 'stub', 'prompt': 'a', 'max_tokens': 2000, 'stream': True}
    result = asyncio.run(exchange(stub.url, body, leave_after_s=0.5))
    assert 0.4 < result.ended_s - result.sent_s < 5 and result.reads
    with pytest.raises(AnswerError):
        understand(result)


def test_arrivals_are_those_of_the_read_that_completes_an_event() -> None:
    first, second = event('a'), event('b', '"stop"', '{"completion_tokens": 5}')
    chunks = b''.join(map(chunk, (first, second[:9], second[9:], b'')))
    whole = HEAD + b'Transfer-Encoding: chunked\r\n\r\n' + chunks
    cut = len(HEAD) + 40
    reads = [whole[:cut], whole[cut:-30], whole[-30:]]
    answer = understand(response(*reads))
    assert (answer.text, answer.finish_reason, answer.completion_tokens) == ('ab', 'stop', 5)
    assert answer.arrivals == (2.0, 3.0) and answer.first_token_s == 2.0 and answer.gaps_s == [1.0]


def test_arrivals_without_chunks() -> None:
    answer = understand(response(HEAD + b'\r\n' + event('a'), event('b') + event(''), event('c', '"length"')))
    assert answer.text == 'abc' and answer.arrivals == (1.0, 2.0, 3.0)


@pytest.mark.parametrize('reads', [
    (b'',), (b'HTTP/1.1 503 Busy\r\n\r\n{}',), (HEAD + b'\r\n' + event('a'),),
    (HEAD + b'\r\ndata: {"error": {"message": "broken"}}\n\n',),
    (HEAD + b'Transfer-Encoding: chunked\r\n\r\n' + chunk(event('a', '"stop"')),),
    (b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{}',)])
def test_a_broken_answer_is_an_error(reads: tuple[bytes, ...]) -> None:
    with pytest.raises(AnswerError):
        understand(response(*reads))


def test_bodies_have_prompts_of_the_asked_length_that_share_what_they_shall() -> None:
    for dialect in (IDS, TEXT):
        prompts = [body['prompt'] for body in bodies(Case('x', 1, 3, 8, shared_tokens=5), dialect, 'seed')]
        assert [len(prompt) for prompt in prompts] == [13] * 3  # type: ignore[arg-type]  # JSON has no type
        for one, other in pairwise(prompts):
            assert one[:5] == other[:5] and one[5:] != other[5:]  # type: ignore[index]  # as above


def test_bodies_differ_by_seed_alone() -> None:
    case = Case('x', 1, 2, is_sampled=True)
    assert list(bodies(case, IDS, 'one')) == list(bodies(case, IDS, 'one')) != list(bodies(case, IDS, 'two'))
    assert [body['seed'] for body in bodies(case, IDS, 'one')] == [0, 1]


def test_summarise_counts_pieces_where_the_server_counts_nothing() -> None:
    answers = [Answer(0.0, 4.0, (1.0, 2.0, 4.0), 'abc', 'length', None),
               Answer(1.0, 5.0, (3.0, 5.0), 'ab', 'stop', None)]
    result = summarise(Case('x', 2, 2, max_tokens=3), answers)
    assert (result.completion_tokens, result.tokens_per_s, result.short_answers) == (5, 1.0, 1)
    assert (result.first_token_p50_ms, result.first_token_p99_ms) == (1500, 2000)
    assert (result.inter_token_p50_ms, result.inter_token_max_ms) == (2000, 2000)


def test_percentile() -> None:
    assert [percentile(range(1, 201), percent) for percent in (0, 50, 99, 100)] == [1, 100, 198, 200]
