"""Passing on: byte for byte, at once, and with an end to everything."""

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

import wrapper_events
import wrapper_forward
from sandle import sse
from tests.end_to_end.scripted_backend import (AUTHORIZED, CHUNKED, CHUNKED_THEN_CLOSE, Answer, Received, Upstream,
                                               chunk, completion, error_of, stream_head, wait_for)
from wrapper_app import Policy

if TYPE_CHECKING:
    from tests.conftest import Wrapper


MakeWrapper: TypeAlias = 'Callable[..., Wrapper]'
FIRST = b'data: {"choices": [{"text": "caf\xc3\xa9"}]}\n\n'
SECOND = b': ping\n\nid: 7\r\ndata: {"choices":[]}\r\n\r\n'


def events_of(body: bytes) -> list[dict[str, object]]:
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b'data: {')]


def test_unstreamed_answer_passes_byte_for_byte(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    body = b'{ "choices":[ {"text":"caf\xc3\xa9 \\u00e9"}], "x": 1e5 }\n'
    upstream.on_completion(Answer(body, headers='Set-Cookie: a=b\r\nConnection: keep-alive\r\nX-Secret: 1\r\n'))
    response = make_wrapper(upstream.url).client.post('/v1/completions', **completion())
    assert (response.status_code, response.data) == (200, body)
    assert response.headers['Content-Type'] == 'application/json'
    assert not {'Set-Cookie', 'X-Secret', 'Connection'} & set(response.headers.keys())


def test_connections_are_used_again(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    upstream.on_completion(Answer('{}'))
    wrapper = make_wrapper(upstream.url)
    for _ in range(20):
        assert wrapper.client.post('/v1/completions', **completion()).status_code == 200
    assert len(upstream.completions()) == 20
    assert upstream.connection_count <= 3  # polling has its own


def test_connection_closed_by_the_backend_meanwhile_is_not_an_error(make_wrapper: MakeWrapper,
                                                                    upstream: Upstream) -> None:
    """An idle connection may be closed at the very moment of its use: the request is sent again, once."""
    answer = Answer('{}')
    wrapper = make_wrapper(upstream.url)
    upstream.on_completion(answer)
    assert wrapper.client.post('/v1/completions', **completion()).status_code == 200

    def close_then_answer(sock: socket.socket, request: Received) -> None:
        upstream.on_completion(answer)  # and this connection ends, the request read and not answered

    upstream.on_completion(close_then_answer)
    assert wrapper.client.post('/v1/completions', **completion()).status_code == 200
    assert len(upstream.completions()) == 3


def test_request_that_a_backend_has_worked_on_is_not_sent_again(make_wrapper: MakeWrapper, upstream: Upstream,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have died of it."""
    monkeypatch.setattr('wrapper_exchange.STALE_WITHIN_S', 0.1)
    wrapper = make_wrapper(upstream.url)
    upstream.on_completion(Answer('{}'))
    assert wrapper.client.post('/v1/completions', **completion()).status_code == 200
    upstream.on_completion(lambda sock, _: time.sleep(0.2))  # past STALE_WITHIN_S
    response = wrapper.client.post('/v1/completions', **completion())
    assert response.status_code == 502 and error_of(response)['code'] == 'backend_lost'
    assert len(upstream.completions()) == 2


def test_stream_passes_byte_for_byte_and_at_once(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    may_go_on = threading.Event()

    def script(sock: socket.socket, _: Received) -> None:
        sock.sendall(stream_head() + chunk(FIRST))
        assert may_go_on.wait(5)
        for byte in (SECOND[i:i + 1] for i in range(len(SECOND))):
            sock.sendall(chunk(byte))
        sock.sendall(chunk(sse.DONE) + chunk(b''))

    upstream.on_completion(script)
    response = make_wrapper(upstream.url).client.post('/v1/completions', **completion(stream=True))
    pieces = response.iter_encoded()
    assert next(pieces) == FIRST  # while the backend waits
    may_go_on.set()
    assert FIRST + b''.join(pieces) == FIRST + SECOND + sse.DONE
    assert response.headers['Content-Type'] == 'text/event-stream'
    assert response.headers['Cache-Control'] == 'no-cache' and response.headers['X-Accel-Buffering'] == 'no'


@pytest.mark.parametrize('framing', ['Transfer-Encoding: chunked\r\n', '', 'Content-Length: 100000\r\n'])
@pytest.mark.parametrize('partial', [b'', b'data: {"choi', b'data: {"choices": []}\n'])
def test_stream_cut_short_ends_with_one_error(make_wrapper: MakeWrapper, upstream: Upstream, framing: str,
                                              partial: bytes) -> None:
    """Also where the connection's end is the answer's: then a killed backend looks like success to HTTP."""

    def script(sock: socket.socket, _: Received) -> None:
        data = FIRST + partial
        sock.sendall(stream_head(framing) + (chunk(data) if 'chunked' in framing else data))

    upstream.on_completion(script)
    started_s = time.monotonic()
    body = make_wrapper(upstream.url).client.post('/v1/completions', **completion(stream=True)).data
    assert time.monotonic() - started_s < 1
    assert body.startswith(FIRST) and body.count(b'data: ') == 2 and b'[DONE]' not in body
    error = events_of(body)[-1]['error']
    assert isinstance(error, dict) and error['code'] == 'backend_lost'
    assert set(error) == {'message', 'type', 'param', 'code'}


@pytest.mark.parametrize('end', [
    sse.DONE, b'data: {"error": {"code": "x"}}\n\n', b'data: [DONE]\r\n\r\n', b'data: [DONE]\n'])
@pytest.mark.parametrize('terminator', [chunk(b''), b''])
def test_stream_that_has_ended_gets_no_error(make_wrapper: MakeWrapper, upstream: Upstream, end: bytes,
                                             terminator: bytes) -> None:
    upstream.on_completion(lambda_script(stream_head() + chunk(FIRST) + chunk(end) + terminator))
    body = make_wrapper(upstream.url).client.post('/v1/completions', **completion(stream=True)).data
    if terminator or end.endswith(b'\n\n') or end.endswith(b'\r\n\r\n'):
        assert body == FIRST + end
    else:
        assert body.startswith(FIRST) and b'backend_lost' in body


def lambda_script(data: bytes) -> Callable[[socket.socket, Received], None]:
    return lambda sock, _: sock.sendall(data)


@pytest.mark.parametrize('framing', [CHUNKED, CHUNKED_THEN_CLOSE])
def test_silence_within_a_stream_ends_it(make_wrapper: MakeWrapper, upstream: Upstream, framing: str) -> None:
    def script(sock: socket.socket, request: Received) -> None:
        sock.sendall(stream_head(framing) + chunk(FIRST))
        upstream.wait_until_client_leaves(sock)

    upstream.on_completion(script)
    started_s = time.monotonic()
    body = make_wrapper(upstream.url, idle_s=0.3).client.post('/v1/completions', **completion(stream=True)).data
    assert 0.3 <= time.monotonic() - started_s < 1
    error = events_of(body)[-1]['error']
    assert isinstance(error, dict) and error['code'] == 'backend_timeout'
    assert upstream.client_left.wait(1)


@pytest.mark.parametrize('begin', [b'', b'HTTP/1.1 200 OK\r\nContent-T'])
def test_backend_that_does_not_answer_is_a_504(make_wrapper: MakeWrapper, upstream: Upstream, begin: bytes) -> None:
    def script(sock: socket.socket, request: Received) -> None:
        sock.sendall(begin)
        upstream.wait_until_client_leaves(sock)

    upstream.on_completion(script)
    started_s = time.monotonic()
    response = make_wrapper(upstream.url, first_byte_s=0.3).client.post('/v1/completions', **completion())
    assert response.status_code == 504 and error_of(response)['code'] == 'backend_timeout'
    assert 0.3 <= time.monotonic() - started_s < 1
    assert upstream.client_left.wait(1)


def test_unstreamed_answer_that_stops_is_a_504(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    def script(sock: socket.socket, request: Received) -> None:
        sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"choi')
        upstream.wait_until_client_leaves(sock)

    upstream.on_completion(script)
    response = make_wrapper(upstream.url, idle_s=0.2).client.post('/v1/completions', **completion())
    assert response.status_code == 504 and error_of(response)['code'] == 'backend_timeout'


@pytest.mark.parametrize('sent', [
    b'', b'HTTP/1.1 200 OK\r\n', b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"a',
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a'])
def test_unstreamed_answer_cut_short_is_a_502(make_wrapper: MakeWrapper, upstream: Upstream, sent: bytes) -> None:
    upstream.on_completion(lambda_script(sent))
    response = make_wrapper(upstream.url).client.post('/v1/completions', **completion())
    assert response.status_code == 502
    assert error_of(response)['code'] in ('backend_lost', 'backend_unreachable')


@pytest.mark.parametrize('sent', [
    b'SSH-2.0-OpenSSH\r\n', b'\x00' * 100, b'HTTP/1.1 abc\r\n\r\n', b'HTTP/1.1 200 ' + b'x' * 99999])
def test_backend_that_speaks_no_http_is_a_502(make_wrapper: MakeWrapper, upstream: Upstream, sent: bytes) -> None:
    upstream.on_completion(lambda_script(sent))
    response = make_wrapper(upstream.url).client.post('/v1/completions', **completion())
    assert response.status_code == 502 and error_of(response)['code'] == 'backend_unreachable'


@pytest.mark.parametrize('is_stream', [False, True])
def test_client_that_leaves_frees_the_backend(make_wrapper: MakeWrapper, upstream: Upstream, is_stream: bool) -> None:
    """Before the first byte, where the thread is blocked; in the original it was never seen."""
    upstream.on_completion(upstream.wait_until_client_leaves)
    has_left = threading.Event()
    wrapper = make_wrapper(upstream.url)
    threading.Timer(0.2, has_left.set).start()
    started_s = time.monotonic()
    response = wrapper.client.post('/v1/completions', **completion(stream=is_stream),
                                   environ_overrides={'waitress.client_disconnected': has_left.is_set})
    assert time.monotonic() - started_s < 0.7
    assert response.status_code == 499
    assert upstream.client_left.wait(0.5)


@pytest.mark.parametrize('framing', [CHUNKED, CHUNKED_THEN_CLOSE])
def test_client_that_leaves_a_silent_stream_frees_the_backend(make_wrapper: MakeWrapper, upstream: Upstream,
                                                              caplog: pytest.LogCaptureFixture, framing: str) -> None:
    def script(sock: socket.socket, request: Received) -> None:
        sock.sendall(stream_head(framing) + chunk(FIRST))
        upstream.wait_until_client_leaves(sock)

    upstream.on_completion(script)
    caplog.set_level('INFO')
    has_left = threading.Event()
    response = make_wrapper(upstream.url).client.post(
        '/v1/completions', **completion(stream=True),
        environ_overrides={'waitress.client_disconnected': has_left.is_set})
    pieces = response.iter_encoded()
    assert next(pieces) == FIRST
    has_left.set()
    assert list(pieces) == []  # nobody is there to read an error
    assert upstream.client_left.wait(0.5)
    response.close()
    assert 'reason=client_disconnected' in caplog.text


def test_stream_closed_by_the_server_frees_the_backend(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    """waitress closes the body when it cannot write; also when not a byte of it has been asked for."""
    def script(sock: socket.socket, request: Received) -> None:
        sock.sendall(stream_head() + chunk(FIRST))
        upstream.wait_until_client_leaves(sock)

    upstream.on_completion(script)
    wrapper = make_wrapper(upstream.url, max_running=1)
    for count in (0, 1):
        response = wrapper.client.post('/v1/completions', **completion(stream=True))
        pieces = response.iter_encoded()
        for _ in range(count):
            next(pieces)
        response.close()
        assert upstream.client_left.wait(0.5)
        upstream.client_left.clear()
    upstream.on_completion(Answer('{}'))
    assert wrapper.client.post('/v1/completions', **completion()).status_code == 200  # the one place is free again


def test_more_than_may_run_is_refused(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    upstream.on_completion(lambda_script(stream_head() + chunk(FIRST) + chunk(sse.DONE) + chunk(b'')))
    wrapper = make_wrapper(upstream.url, max_running=1)
    running = wrapper.client.post('/v1/completions', **completion(stream=True))
    refused = wrapper.client.post('/v1/completions', **completion())
    assert refused.status_code == 503 and error_of(refused)['code'] == 'queue_full'
    assert int(refused.headers['Retry-After']) >= 1
    assert wrapper.client.get('/v1/models', headers=AUTHORIZED).status_code == 200
    assert running.data == FIRST + sse.DONE
    assert wrapper.client.post('/v1/completions', **completion(stream=True)).status_code == 200


@pytest.mark.parametrize('has_begun', [False, True])
def test_end_of_the_process_ends_what_runs(make_wrapper: MakeWrapper, upstream: Upstream, has_begun: bool) -> None:
    def script(sock: socket.socket, request: Received) -> None:
        if has_begun:
            sock.sendall(stream_head() + chunk(FIRST))
        upstream.wait_until_client_leaves(sock)

    upstream.on_completion(script)
    wrapper = make_wrapper(upstream.url)
    threading.Timer(0.3, wrapper.watcher.end_all).start()
    response = wrapper.client.post('/v1/completions', **completion(stream=True))
    if has_begun:
        error = events_of(response.data)[-1]['error']
        assert isinstance(error, dict) and error['code'] == 'shutting_down'
    else:
        assert response.status_code == 503 and error_of(response)['code'] == 'shutting_down'
    assert upstream.client_left.wait(0.5)


@pytest.mark.parametrize('answer, status, code', [
    (Answer('<html>', content_type='text/html'), 502, 'backend_unreachable'),
    (Answer('<html>', 503, 'text/html', 'Retry-After: 7\r\n'), 503, 'unavailable'),
    (Answer('<html>', 500, 'text/html'), 500, 'internal_error'),
    (Answer('', 302, headers='Location: http://127.0.0.1:1/\r\n'), 502, 'backend_unreachable'),
    (Answer('{"error": {"message": "m", "type": "t", "param": null, "code": "c"}}', 401), 502, 'backend_unreachable'),
    (Answer('{"error": {"message": "m", "type": "t", "param": "n", "code": 400}}', 400), 400, None),  # as vLLM's
    (Answer('{"detail": "no such"}', 404), 404, None),
    (Answer('{"detail": [{"loc": []}]}', 422), 400, None),
    (Answer('{"object": "error", "message": "too long", "code": 400}', 400), 400, None),
    (Answer('{"error": "slow down"}', 429, headers='Retry-After: soon\r\n'), 429, 'rate_limit_exceeded'),
    (Answer('[]', 418), 502, 'backend_unreachable')])
def test_errors_of_other_servers_get_the_apis_shape(make_wrapper: MakeWrapper, upstream: Upstream, answer: Answer,
                                                    status: int, code: str | None) -> None:
    upstream.on_completion(answer)
    response = make_wrapper(upstream.url).client.post('/v1/completions', **completion(stream=True))
    assert (response.status_code, error_of(response)['code']) == (status, code)
    if status == 503:
        assert response.headers['Retry-After'] == '7'


def test_error_of_a_backend_passes_byte_for_byte(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    body = '{"error": {"message": "Busy.",  "type": "server_error", "param": null, "code": "unavailable"}}'
    upstream.on_completion(Answer(body, 503, headers='Retry-After: 3\r\n'))
    response = make_wrapper(upstream.url).client.post('/v1/completions', **completion(stream=True))
    assert (response.status_code, response.text, response.headers['Retry-After']) == (503, body, '3')


def test_replica_that_is_down_is_passed_over(make_wrapper: MakeWrapper, make_upstream: Callable[[], Upstream]) -> None:
    first, second = make_upstream(), make_upstream()
    second.on_completion(Answer('{}'))
    first.on_completion(Answer('{}'))
    wrapper = make_wrapper(first.url, second.url)
    assert wrapper.client.post('/v1/completions', **completion()).status_code == 200
    first.close()
    for _ in range(5):
        assert wrapper.client.post('/v1/completions', **completion()).status_code == 200
    assert len(second.completions()) == 5


def test_event_that_does_not_end_is_cut(make_wrapper: MakeWrapper, upstream: Upstream,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapper_forward, 'MAX_ANSWER_BYTES', 1000)
    monkeypatch.setattr(wrapper_events, 'MAX_EVENT_BYTES', 1000)
    endless = b'data: ' + b'x' * 100_000
    upstream.on_completion(lambda_script(stream_head('') + endless))
    assert make_wrapper(upstream.url).client.post('/v1/completions', **completion(stream=True)).status_code == 502
    upstream.on_completion(lambda_script(stream_head('') + FIRST + b': ping\n\n' + endless))
    body = make_wrapper(upstream.url).client.post('/v1/completions', **completion(stream=True)).data
    assert len(body) < 1000 and [*events_of(body)[-1]] == ['error']
    upstream.on_completion(Answer('"' + 'x' * 100_000 + '"'))
    assert make_wrapper(upstream.url).client.post('/v1/completions', **completion()).status_code == 502


def test_client_slower_than_the_idle_timeout_is_no_fault_of_the_backend(make_wrapper: MakeWrapper,
                                                                        upstream: Upstream) -> None:
    upstream.on_completion(lambda_script(stream_head() + chunk(FIRST) + chunk(sse.DONE) + chunk(b'')))
    response = make_wrapper(upstream.url, idle_s=0.2).client.post('/v1/completions', **completion(stream=True))
    pieces = response.iter_encoded()
    body = next(pieces)
    time.sleep(0.5)  # longer than the idle timeout
    assert body + b''.join(pieces) == FIRST + sse.DONE


def test_request_is_reduced_and_carries_its_id(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    upstream.on_completion(Answer('{}'))
    policy = Policy(pass_fields=frozenset({'guided_json'}))
    sent = {'temperature': 0.1, 'user': 'me', 'seed': 2 ** 63 - 1, 'prompt': 'caf\xe9 \U0001f600', 'logit_bias': {},
            'guided_json': {'a': [1]}, 'trust_remote_code': True, 'suffix': None}
    request = completion(**sent)
    request['headers'] = {**AUTHORIZED, 'x-request-id': 'mine-1', 'Cookie': 'a=b', 'X-Forwarded-For': '1.2.3.4'}
    response = make_wrapper(upstream.url, policy=policy).client.post('/v1/completions', **request)
    assert response.headers['x-request-id'] == 'mine-1'
    [received] = upstream.completions()
    del sent['trust_remote_code'], sent['suffix']
    assert json.loads(received.body) == {'model': 'm', **sent}
    assert received.headers.keys() == {'host', 'accept-encoding', 'content-length', 'content-type', 'accept',
                                       'x-request-id', 'x-sandle-key', 'x-sandle-usage'}
    assert received.headers['x-request-id'] == 'mine-1' and received.headers['accept-encoding'] == 'identity'


def test_bad_request_never_reaches_a_backend(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    wrapper = make_wrapper(upstream.url)
    bad: list[dict[str, object]] = [{'n': '5'}, {'temperature': 3}, {'prompt': []}, {'model': 5}, {'stream': 'false'},
                                    {'best_of': 10 ** 6}]
    for fields in bad:
        response = wrapper.client.post('/v1/completions', **completion(**fields))
        assert response.status_code == 400 and error_of(response)['param'] == next(iter(fields))
    assert upstream.completions() == []


def test_watcher_forgets_what_has_ended(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    upstream.on_completion(lambda_script(b''))
    wrapper = make_wrapper(upstream.url)
    for _ in range(3):
        wrapper.client.post('/v1/completions', **completion())
    wrapper.registry.stop()
    assert wait_for(lambda: not wrapper.watcher._watched)
