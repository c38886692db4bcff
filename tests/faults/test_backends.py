"""Backends that die, hang, and come back elsewhere: seen through nginx and the wrapper."""

import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.rig import KEY, STUB, WRAPPER, Client, Server, error_of, events_of, quickest, serve, wait_for
from tests.end_to_end.web_server import Nginx
from tests.faults.conftest import Stack
from tests.faults.figures import Figures

Own = Callable[..., Server]
ClientOf = Callable[..., Client]
StartNginx = Callable[[int], Nginx]


def assert_cut_short(body: bytes, code: str) -> None:
    """One error event, with that code, at the end of a stream that does not look finished."""
    *before, last = events_of(body)
    assert isinstance(last['error'], dict) and last['error']['code'] == code
    assert before and all('error' not in event for event in before)
    assert b'[DONE]' not in body and b'"stop"' not in body and b'"length"' not in body


@pytest.mark.fault('backend killed in mid-stream')
def test_killed_in_mid_stream(own: Own, client_of: ClientOf, nginx: StartNginx, figures: Figures) -> None:
    stub = own(STUB, '--faults')
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '-t', KEY, '--max-wait-s', '1')
    client = client_of(nginx(wrapper.port))
    body, killed_s = b'', 0.0
    with client.complete('!fault tokens=600 delay=0.02', max_tokens=600, stream=True) as response:
        for piece in response.iter_content(None):
            body += piece
            if not killed_s and body.count(b'data: ') > 5:
                killed_s = time.monotonic()
                stub.stop(signal.SIGKILL)
    figures.below('the stream ends with one error event, backend_lost, and without [DONE]',
                  time.monotonic() - killed_s, 1.0)
    assert_cut_short(body, 'backend_lost')
    started_s = time.monotonic()
    unreachable = client.complete()
    figures.below('an unstreamed request after it is held for as long as one may wait, here 1 s; then 503',
                  time.monotonic() - started_s, 2.0)
    assert unreachable.status_code == 503 and error_of(unreachable)['code'] == 'unavailable'
    assert unreachable.headers['Retry-After'] == '5'


@pytest.mark.fault('backend killed in mid-stream')
def test_unstreamed_answer_cut_short(stack: Stack, figures: Figures) -> None:
    response = stack.client.complete('!fault cut-after=20')
    figures.exactly('an unstreamed answer cut in the middle', response.status_code, 502)
    assert error_of(response)['code'] == 'backend_lost'


@pytest.mark.fault('backend hung')
def test_hung(own: Own, client_of: ClientOf, nginx: StartNginx, figures: Figures) -> None:
    """In the original it hung the model listing, for ever."""
    good, bad = own(STUB, '--model', 'good'), own(STUB, '--faults')
    wrapper = own(WRAPPER, '--backend', bad.url, '--backend', good.url, '-t', KEY,
                  environment={'SANDLE_FIRST_BYTE_TIMEOUT_S': '2', 'SANDLE_IDLE_TIMEOUT_S': '1'})
    client = client_of(nginx(wrapper.port))
    client_of(bad).post('/faults', json={'directive': 'hang', 'path': '/v1/models', 'count': 0})
    slowest_s = 0.0
    with client.complete('!fault stall-after=2', stream=True) as stalled:
        started_s = time.monotonic()
        for path in ('/v1/models', '/v1/models/stub', '/ready'):
            slowest_s = max(slowest_s, quickest(partial(client.get, path)))
        slowest_s = max(slowest_s, quickest(
            lambda: client.post('/v1/completions', json={'model': 'good', 'prompt': 'x'})))
        body = stalled.content
        stalled_s = time.monotonic() - started_s
    figures.below('the model listing, and other models, answer meanwhile', slowest_s, 0.3)
    figures.below('in mid-stream, an error event at the idle limit, here 1 s', stalled_s, 3.0)
    assert_cut_short(body, 'backend_timeout')
    for is_stream in (False, True):
        started_s = time.monotonic()
        hung = client.complete('!fault hang', stream=is_stream)
        hung_s = time.monotonic() - started_s
        assert hung.status_code == 504 and error_of(hung)['code'] == 'backend_timeout' and hung_s > 1.9
        figures.below(f'before the first byte, 504 at its limit, here 2 s ({"" if is_stream else "un"}streamed)',
                      hung_s, 3.0)
    good.process.send_signal(signal.SIGSTOP)  # it takes connections still, and says nothing
    started_s = time.monotonic()
    try:
        frozen = client.post('/v1/completions', json={'model': 'good', 'prompt': 'x'})
    finally:
        good.process.send_signal(signal.SIGCONT)
    figures.below('a frozen process: 504 at the same limit', time.monotonic() - started_s, 3.0)
    assert frozen.status_code == 504 and error_of(frozen)['code'] == 'backend_timeout'


@pytest.mark.fault('backend restarted on another address')
def test_restarted_at_once(own: Own, client_of: ClientOf, figures: Figures) -> None:
    stub = own(STUB, '--faults')
    client = client_of(own(WRAPPER, '--backend-stub', stub.url, '-t', KEY))
    lost = client.complete('!fault die')
    assert lost.status_code == 502 and error_of(lost)['code'] in ('backend_lost', 'backend_unreachable')
    wait_for(lambda: client.get('/ready').status_code == 503)
    [model] = client.get('/v1/models').json()['data']
    assert model['status'] == 'error'
    own(STUB, port=stub.port)
    response = client.complete()  # a request never asks what the last poll said
    figures.exactly('on the same address, the very next request', response.status_code, 200)
    wait_for(lambda: client.get('/ready').status_code == 200)


@pytest.mark.fault('backend restarted on another address')
def test_restarted_elsewhere(own: Own, client_of: ClientOf, nginx: StartNginx, tmp_path: Path,
                             own_hosts: Callable[[Path], list[str]], figures: Figures) -> None:
    """Its name moves from one address to another, as that of a container does that is made anew."""
    hosts = tmp_path / 'hosts'
    hosts.write_text('127.0.0.1 backend.test\n')
    with socket.create_server(('127.0.0.2', 0)) as free:
        port = free.getsockname()[1]
    stub = own(STUB, port=port)
    wrapper = own(WRAPPER, '--backend', f'http://backend.test:{port}', '-t', KEY, through=own_hosts(hosts))
    client = client_of(nginx(wrapper.port))
    assert client.complete().status_code == 200
    stub.stop(signal.SIGKILL)
    with serve(STUB, '--host', '127.0.0.2', port=port):
        hosts.write_text('127.0.0.2 backend.test\n')
        seconds = wait_for(lambda: client.complete().status_code == 200, 10.0)
    figures.below('requests are served again, wrapper and nginx running on', seconds, 5.0)
    assert wrapper.process.poll() is None


@pytest.mark.fault('wrapper killed and restarted')
def test_wrapper_killed(own: Own, client_of: ClientOf, nginx: StartNginx, stack: Stack, tmp_path: Path,
                        figures: Figures) -> None:
    options = ['--backend', stack.stub.url, '-t', KEY, '--state-dir', str(tmp_path / 'state')]
    wrapper = own(WRAPPER, *options)
    client = client_of(nginx(wrapper.port))
    for _ in range(5):
        assert client.complete(max_tokens=3).status_code == 200
    used = client.get('/v1/usage').json()['data']
    assert sum(day['requests'] for day in used) == 5
    wrapper.stop(signal.SIGKILL)
    down = client.complete()
    figures.exactly('meanwhile, from nginx in JSON', down.status_code, 502)
    assert error_of(down)['code'] == 'bad_gateway'
    started_s = time.monotonic()
    with serve(WRAPPER, *options, port=wrapper.port):
        wait_for(lambda: client.complete().status_code == 200, 10.0)
        figures.below('from its start to the first answer', time.monotonic() - started_s, 3.0)
        [day] = client.get('/v1/usage').json()['data']
        figures.exactly('usage that was counted before', day['requests'] - 1, 5)
