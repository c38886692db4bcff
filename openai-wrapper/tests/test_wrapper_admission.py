"""Requests that wait: what they are told meanwhile, what ends their waiting, and what is left of it."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from werkzeug.test import TestResponse

from sandle import sse
from tests.end_to_end.scripted_backend import (AUTHORIZED, KEY, Answer, Received, Upstream, chunk, completion, error_of,
                                               stream_head, wait_for)
from wrapper_keys import Key, Keys, Limits, digest

if TYPE_CHECKING:
    import socket

    from tests.conftest import Wrapper

MakeWrapper = Callable[..., 'Wrapper']
EVENTS = b'data: {"choices":[{"text":"x"}]}\n\n' + sse.DONE
LOADING = ('{"error": {"message": "It is being loaded.", "type": "server_error", "param": null, '
           '"code": "model_loading"}}')


class Holding:
    """A script that answers when it may: a stream, or an object."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_answer = threading.Event()

    def __call__(self, sock: 'socket.socket', request: Received) -> None:
        self.begun += 1
        assert self.may_answer.wait(10)
        if json.loads(request.body).get('stream'):
            sock.sendall(stream_head() + chunk(EVENTS) + chunk(b''))
        else:
            Answer('{}')(sock, request)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A streamed request begins its answer sooner than it really does."""
    monkeypatch.setattr(sse, 'QUEUE_AFTER_S', 0.1)


@pytest.fixture
def held(upstream: Upstream) -> Holding:
    """What the upstream does."""
    holding = Holding()
    upstream.on_completion(holding)
    return holding


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """For clients beside the test's own."""
    with ThreadPoolExecutor() as pool:
        yield pool


def post(wrapper: 'Wrapper', **fields: object) -> TestResponse:
    return wrapper.app.test_client().post('/v1/completions', **completion(**fields))


def occupied(wrapper: 'Wrapper', held: Holding, threads: ThreadPoolExecutor) -> 'Future[TestResponse]':
    """Returns the request that takes the only place."""
    first = threads.submit(post, wrapper)
    assert wait_for(lambda: held.begun == 1)
    return first


def test_streamed_request_is_told_its_position_and_then_gets_its_events(
        make_wrapper: MakeWrapper, upstream: Upstream, held: Holding, threads: ThreadPoolExecutor) -> None:
    wrapper = make_wrapper(upstream.url, max_running=1)
    first = occupied(wrapper, held, threads)
    ahead = threads.submit(post, wrapper)
    assert wait_for(lambda: wrapper.queue.waiting['m'] == 1)
    with closing(post(wrapper, stream=True)) as response:
        assert response.headers['x-sandle-queue-position'] == '2'
        assert response.headers['Content-Type'] == 'text/event-stream' and response.headers['X-Accel-Buffering'] == 'no'
        pieces = response.iter_encoded()
        assert next(pieces) == b': queue 2\n\n'
        held.may_answer.set()
        told = b''.join(pieces)
    assert told == EVENTS or told == b': queue 1\n\n' + EVENTS
    assert (first.result().status_code, 'x-sandle-queue-position' in first.result().headers) == (200, False)
    assert ahead.result().headers['x-sandle-queue-position'] == '1'
    assert wrapper.queue.running['m'] == wrapper.queue.waiting['m'] == 0


def test_silence_is_filled_with_pings(make_wrapper: MakeWrapper, upstream: Upstream, held: Holding,
                                      threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, 'PING_INTERVAL_S', 0.1)
    wrapper = make_wrapper(upstream.url, max_running=1)
    occupied(wrapper, held, threads)
    with closing(post(wrapper, stream=True)) as response:
        pieces = response.iter_encoded()
        assert [next(pieces) for _ in range(3)] == [b': queue 1\n\n', sse.PING, sse.PING]
        held.may_answer.set()
        assert b''.join(pieces).endswith(EVENTS)


def test_patience_ends_with_a_status_or_an_event(make_wrapper: MakeWrapper, upstream: Upstream, held: Holding,
                                                 threads: ThreadPoolExecutor) -> None:
    wrapper = make_wrapper(upstream.url, max_running=1, max_wait_s=0.5)
    occupied(wrapper, held, threads)
    refused = post(wrapper)
    assert refused.status_code == 503 and refused.headers['Retry-After'] == '1'
    assert error_of(refused)['code'] == 'queue_full' and refused.headers['x-sandle-queue-position'] == '1'
    told = post(wrapper, stream=True)
    assert told.status_code == 200
    queued, event, end = told.data.split(b'\n\n')
    assert queued == b': queue 1' and json.loads(event[6:]) == refused.get_json() and end == b''
    assert wrapper.queue.waiting['m'] == 0 and wrapper.queue.refused['busy'] == 2
    held.may_answer.set()


def test_what_waited_in_vain_is_not_billed(make_wrapper: MakeWrapper, upstream: Upstream, held: Holding,
                                           threads: ThreadPoolExecutor) -> None:
    wrapper = make_wrapper(upstream.url, max_running=1, max_wait_s=0.3)
    first = occupied(wrapper, held, threads)
    post(wrapper, stream=True).close()
    assert b'queue_full' in post(wrapper, stream=True).data
    held.may_answer.set()
    first.result()
    days = wrapper.client.get('/v1/usage', headers=AUTHORIZED).get_json()['data']
    assert [day['requests'] for day in days] == [1]


def test_client_that_leaves_while_it_waits_is_out_of_the_line(make_wrapper: MakeWrapper, upstream: Upstream,
                                                              held: Holding, threads: ThreadPoolExecutor) -> None:
    wrapper = make_wrapper(upstream.url, max_running=1)
    occupied(wrapper, held, threads)
    response = post(wrapper, stream=True)
    assert next(response.iter_encoded()) == b': queue 1\n\n' and wrapper.queue.waiting['m'] == 1
    response.close()
    assert wrapper.queue.waiting['m'] == 0
    held.may_answer.set()
    assert wait_for(lambda: wrapper.queue.running['m'] == 0)
    assert len(upstream.completions()) == 1


@pytest.mark.parametrize('is_stream', [False, True])
@pytest.mark.parametrize('code', ['model_loading', 'queue_full'])
def test_backend_that_loads_or_is_full_is_waited_for(make_wrapper: MakeWrapper, upstream: Upstream, held: Holding,
                                                     code: str, is_stream: bool) -> None:
    """A key with a few large requests fills a backend's own line; others must not be refused for that."""
    held.may_answer.set()

    def refuse_once(sock: 'socket.socket', request: Received) -> None:
        upstream.on_completion(held)
        Answer(LOADING.replace('model_loading', code), 503, headers='Retry-After: 1\r\n')(sock, request)

    upstream.on_completion(refuse_once)
    wrapper = make_wrapper(upstream.url)
    response = post(wrapper, stream=is_stream)
    assert response.status_code == 200 and response.headers['x-sandle-queue-position'] == '1'
    assert response.data == (b': queue 1\n\n' + EVENTS if is_stream else b'{}')
    assert len(upstream.completions()) == 2


def test_model_that_is_said_to_load_is_not_asked_until_it_is_ready(make_wrapper: MakeWrapper, upstream: Upstream,
                                                                   held: Holding, threads: ThreadPoolExecutor) -> None:
    held.may_answer.set()
    upstream.list_models({'id': 'm', 'status': 'loading'})
    wrapper = make_wrapper(upstream.url)
    waiting = threads.submit(post, wrapper)
    assert wait_for(lambda: wrapper.queue.waiting.get('m') == 1)
    upstream.list_models({'id': 'm', 'status': 'ready'})
    wrapper.registry.poll_soon()
    assert waiting.result().status_code == 200 and len(upstream.completions()) == 1


def test_model_that_does_not_come_is_refused_in_the_backends_words(make_wrapper: MakeWrapper,
                                                                   upstream: Upstream) -> None:
    upstream.on_completion(Answer(LOADING, 503, headers='Retry-After: 7\r\n'))
    refused = post(make_wrapper(upstream.url, max_wait_s=0.3))
    assert refused.status_code == 503 and refused.headers['Retry-After'] == '7'
    assert refused.get_json() == json.loads(LOADING)


def test_model_that_cannot_load_says_so_at_once(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    words = LOADING.replace('model_loading', 'unavailable')
    upstream.list_models({'id': 'm', 'status': 'error'})
    upstream.on_completion(Answer(words, 503, headers='Retry-After: 9\r\n'))
    refused = post(make_wrapper(upstream.url))
    assert refused.status_code == 503 and refused.get_json() == json.loads(words)
    assert 'x-sandle-queue-position' not in refused.headers


def test_refusal_of_a_backend_is_an_event_where_the_answer_has_begun(make_wrapper: MakeWrapper, upstream: Upstream,
                                                                     held: Holding,
                                                                     threads: ThreadPoolExecutor) -> None:
    wrapper = make_wrapper(upstream.url, max_running=1)
    occupied(wrapper, held, threads)
    with closing(post(wrapper, stream=True)) as response:
        pieces = response.iter_encoded()
        next(pieces)
        words = LOADING.replace('model_loading', 'context_length_exceeded')
        upstream.on_completion(Answer(words, 400))
        held.may_answer.set()
        assert json.loads(b''.join(pieces)[6:]) == json.loads(words)


def test_parallel_requests_of_a_key_wait_and_are_429_in_the_end(make_wrapper: MakeWrapper, upstream: Upstream,
                                                                held: Holding, threads: ThreadPoolExecutor) -> None:
    alice = Key(digest(KEY), 'id', 'alice', limits=Limits(parallel=1))
    wrapper = make_wrapper(upstream.url, keys=Keys({alice.digest: alice}), max_wait_s=0.4)
    first = occupied(wrapper, held, threads)
    refused = post(wrapper)
    assert refused.status_code == 429 and refused.headers['Retry-After'] == '1'
    assert error_of(refused)['message'] == 'This key may run 1 requests at once.'
    held.may_answer.set()
    assert first.result().status_code == 200 and post(wrapper).status_code == 200


def test_backend_learns_the_keys_name_from_the_wrapper_alone(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    alice = Key(digest(KEY), 'id', 'alice')
    upstream.on_completion(Answer('{}'))
    wrapper = make_wrapper(upstream.url, keys=Keys({alice.digest: alice}))
    wrapper.client.post('/v1/completions', json={'model': 'm', 'prompt': ''},
                        headers={**AUTHORIZED, 'X-Sandle-Key': 'forged'})
    assert upstream.completions()[0].headers['x-sandle-key'] == 'alice'


def test_the_end_of_the_process_is_told_to_those_who_wait(make_wrapper: MakeWrapper, upstream: Upstream, held: Holding,
                                                          threads: ThreadPoolExecutor) -> None:
    wrapper = make_wrapper(upstream.url, max_running=1)
    occupied(wrapper, held, threads)
    silent = threads.submit(post, wrapper)
    with closing(post(wrapper, stream=True)) as response:
        pieces = response.iter_encoded()
        next(pieces)
        wrapper.queue.end_all()
        assert b'"shutting_down"' in b''.join(pieces)
    assert silent.result().status_code == 503 and error_of(silent.result())['code'] == 'shutting_down'
    held.may_answer.set()
