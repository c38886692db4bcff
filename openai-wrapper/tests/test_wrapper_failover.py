"""When a request is sent to another replica, and when it is not."""

import json
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest
from werkzeug.test import TestResponse

from sandle import sse
from tests.end_to_end.scripted_backend import (Answer, Received, Script, Upstream, chunk, completion, error_of,
                                               stream_head, wait_for)

if TYPE_CHECKING:
    from tests.conftest import Wrapper

MakeWrapper: TypeAlias = 'Callable[..., Wrapper]'
EVENT = b'data: {"choices": [{"text": "a"}]}\n\n'
PING = b': ping\n\n'


class Dies:
    """A script: the backend sends something and is gone, as if killed."""

    def __init__(self, data: bytes = b'') -> None:
        self._data = data
        self.upstream: Upstream | None = None

    def __call__(self, sock: socket.socket, _: Received) -> None:
        assert self.upstream is not None
        sock.sendall(self._data)
        self.upstream.close()


class Replicas:
    """Two replicas of the model `m` behind a wrapper; the first one is asked first."""

    def __init__(self, make_wrapper: MakeWrapper, upstreams: list[Upstream], **options: float) -> None:
        self.upstreams = upstreams
        self.wrapper = make_wrapper(*(upstream.url for upstream in upstreams), **options)
        assert wait_for(lambda: self.wrapper.registry.takers('m').count == len(upstreams))

    def script(self, *scripts: Script) -> None:
        for upstream, script in zip(self.upstreams, scripts, strict=True):
            if isinstance(script, Dies):
                script.upstream = upstream
            upstream.on_completion(script)

    def ask(self, **fields: object) -> TestResponse:
        return self.wrapper.client.post('/v1/completions', **completion(**fields))

    @property
    def asked(self) -> list[int]:
        return [len(upstream.completions()) for upstream in self.upstreams]


@pytest.fixture
def replicas(make_wrapper: MakeWrapper, make_upstream: Callable[[], Upstream]) -> Callable[..., Replicas]:
    """Returns a function that starts so many replicas and a wrapper in front of them."""
    return lambda count=2, **options: Replicas(make_wrapper, [make_upstream() for _ in range(count)], **options)


def refuses(code: str, status: int = 503) -> Answer:
    error = {'message': 'no', 'type': 'server_error', 'param': None, 'code': code}
    return Answer(json.dumps({'error': error}), status, headers='Retry-After: 9\r\n')


def stream(sock: socket.socket, _: Received) -> None:
    sock.sendall(stream_head() + chunk(EVENT) + chunk(sse.DONE) + chunk(b''))


@pytest.mark.parametrize('sent', [
    b'', b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{'])
def test_replica_lost_before_an_unstreamed_answer_is_whole(replicas: Callable[..., Replicas], sent: bytes) -> None:
    pair = replicas()
    pair.script(Dies(sent), Answer('{"a": 1}'))
    response = pair.ask()
    assert (response.status_code, response.text) == (200, '{"a": 1}')
    assert pair.asked == [1, 1]


@pytest.mark.parametrize('sent', [b'', stream_head(), stream_head() + chunk(EVENT[:9]), stream_head() + chunk(b'')])
def test_replica_lost_before_the_first_event_of_a_stream(replicas: Callable[..., Replicas], sent: bytes) -> None:
    pair = replicas()
    pair.script(Dies(sent), stream)
    response = pair.ask(stream=True)
    assert (response.status_code, response.data) == (200, EVENT + sse.DONE)


def test_replica_lost_after_pings_alone(replicas: Callable[..., Replicas]) -> None:
    """The longest prefills are those that a user least wants to begin again by hand."""
    pair = replicas()
    pair.script(Dies(stream_head() + chunk(PING)), stream)
    assert pair.ask(stream=True).data == PING + EVENT + sse.DONE


@pytest.mark.parametrize('second, code', [
    (refuses('queue_full'), 'queue_full'), (Answer('{}'), 'backend_unreachable'), (Dies(), 'backend_lost'),
    (Dies(stream_head() + chunk(PING)), 'backend_lost'), (refuses('context_length_exceeded', 400), None)])
def test_what_goes_wrong_after_pings_is_an_event(replicas: Callable[..., Replicas], second: Script,
                                                 code: str | None) -> None:
    pair = replicas()
    pair.script(Dies(stream_head() + chunk(PING)), second)
    body = pair.ask(stream=True).data
    assert body.startswith(PING) and body.count(b'data: ') == 1 and body.count(b'"error"') == 1
    error = json.loads(body[body.index(b'{'):])['error']
    assert code is None or error['code'] == code
    assert pair.asked == [1, 1]


def test_stream_that_has_begun_is_not_begun_again(replicas: Callable[..., Replicas]) -> None:
    pair = replicas()
    pair.script(Dies(stream_head() + chunk(EVENT)), stream)
    body = pair.ask(stream=True).data
    assert body.startswith(EVENT) and b'"backend_lost"' in body and b'[DONE]' not in body
    assert pair.asked == [1, 0]


@pytest.mark.parametrize('is_stream', [False, True])
def test_request_that_kills_its_replica_kills_two_at_most(replicas: Callable[..., Replicas], is_stream: bool) -> None:
    three = replicas(3)
    three.script(Dies(), Dies(), Answer('{}'))
    response = three.ask(stream=is_stream)
    assert response.status_code == 502 and error_of(response)['code'] == 'backend_lost'
    assert three.asked == [1, 1, 0]


def test_replica_that_dies_with_the_request_on_a_used_connection_counts_as_lost(
        replicas: Callable[..., Replicas]) -> None:
    """It would be sent again on a new connection, but nobody listens any more: not a case of "never sent"."""
    three = replicas(3)
    three.script(*[Answer('{}')] * 3)
    assert three.ask().status_code == 200  # and the connection stays
    three.script(Dies(), Dies(), Answer('{}'))
    assert three.ask().status_code == 502
    assert three.asked == [2, 1, 0]


def test_replica_that_dies_takes_connections_until_it_is_dead(replicas: Callable[..., Replicas]) -> None:
    """The request is sent to it again when a used connection was closed, and that must not be its last chance."""
    pair = replicas()
    pair.script(Answer('{}'), Answer('{}'))
    assert pair.ask().status_code == 200
    pair.script(lambda *_: None, Answer('{}'))
    assert pair.ask().status_code == 200
    assert pair.asked == [3, 1]


@pytest.mark.parametrize('is_stream', [False, True])
@pytest.mark.parametrize('code', ['queue_full', 'shutting_down', 'model_loading'])
def test_refusal_of_one_replica_is_not_the_answer(replicas: Callable[..., Replicas], code: str,
                                                  is_stream: bool) -> None:
    three = replicas(3)
    three.script(refuses(code), refuses(code), stream if is_stream else Answer('{}'))
    assert three.ask(stream=is_stream).status_code == 200
    assert three.asked == [1, 1, 1]


def test_refusal_of_all_replicas_is_the_answer(replicas: Callable[..., Replicas]) -> None:
    pair = replicas()
    pair.script(refuses('queue_full'), refuses('shutting_down'))
    response = pair.ask()
    assert (response.status_code, error_of(response)['code']) == (503, 'shutting_down')
    assert response.headers['Retry-After'] == '9' and pair.asked == [1, 1]
    assert [monitor.replica.outstanding for monitor in pair.wrapper.registry.replicas()] == [0, 0]


def test_refusal_stands_when_the_other_replica_is_lost(replicas: Callable[..., Replicas]) -> None:
    pair = replicas()
    pair.script(refuses('queue_full'), Dies())
    assert error_of(pair.ask())['code'] == 'queue_full'


def test_refusal_stands_when_the_other_replica_is_not_ready(replicas: Callable[..., Replicas]) -> None:
    """Else a model that loads would be loaded by every replica."""
    pair = replicas()
    pair.upstreams[1].list_models({'id': 'm', 'status': 'available'})
    pair.wrapper.registry.poll_soon()
    assert wait_for(lambda: pair.wrapper.registry.takers('m').count == 1)
    pair.script(refuses('model_loading'), Answer('{}'))
    assert error_of(pair.ask())['code'] == 'model_loading' and pair.asked == [1, 0]


@pytest.mark.parametrize('answer', [refuses('x', 400), refuses('x', 404), refuses('rate_limit_exceeded', 429),
                                    refuses('internal_error', 500), refuses('x', 502), Answer('{"a": 1}')])
def test_other_answers_are_final(replicas: Callable[..., Replicas], answer: Answer) -> None:
    pair = replicas()
    pair.script(answer, Answer('{}'))
    pair.ask()
    assert pair.asked == [1, 0]


@pytest.mark.parametrize('begin', [b'', stream_head()])
@pytest.mark.parametrize('is_stream', [False, True])
def test_request_that_takes_too_long_is_not_sent_again(replicas: Callable[..., Replicas], is_stream: bool,
                                                       begin: bytes) -> None:
    pair = replicas(first_byte_s=0.3, idle_s=0.3)
    first, _ = pair.upstreams

    def script(sock: socket.socket, _: Received) -> None:
        sock.sendall(begin)
        first.wait_until_client_leaves(sock)

    pair.script(script, Answer('{}'))
    response = pair.ask(stream=is_stream)
    assert response.status_code == 504 and error_of(response)['code'] == 'backend_timeout'
    assert pair.asked == [1, 0]


def test_client_that_leaves_is_not_sent_elsewhere(replicas: Callable[..., Replicas]) -> None:
    pair = replicas()
    pair.script(pair.upstreams[0].wait_until_client_leaves, Answer('{}'))
    has_left = threading.Event()
    threading.Timer(0.2, has_left.set).start()
    response = pair.wrapper.client.post('/v1/completions', **completion(),
                                        environ_overrides={'waitress.client_disconnected': has_left.is_set})
    assert response.status_code == 499 and pair.asked == [1, 0]
    assert [monitor.replica.outstanding for monitor in pair.wrapper.registry.replicas()] == [0, 0]
