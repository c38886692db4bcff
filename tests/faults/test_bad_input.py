"""Whatever is sent: a clear 4xx, quickly, and the same process afterwards, no larger than before."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.end_to_end.rig import KEY, Client, Server, error_of, raw, request_bytes
from tests.faults.conftest import Stack
from tests.faults.figures import Figures
from tests.faults.memory import resident_mb

pytestmark = pytest.mark.fault('bad input')

BODIES = {
    'nothing': b'', 'not JSON': b'{', 'a scalar': b'5', 'a list': b'[]', 'null': b'null',
    'invalid UTF-8': b'{"model": "\xff"}', 'UTF-16': '{"model": "stub"}'.encode('utf-16'),
    'UTF-32': '{"model": "stub"}'.encode('utf-32'), 'a byte order mark': b'\xef\xbb\xbf{"model": "stub"}',
    'NaN': b'{"model": "stub", "temperature": NaN}', 'Infinity': b'{"model": "stub", "temperature": Infinity}',
    '1e999': b'{"model": "stub", "temperature": 1e999}',
    'a long integer': b'{"model": "stub", "seed": ' + b'9' * 5000 + b'}',
    'deep nesting': b'{"model": ' + b'[' * 200_000 + b']' * 200_000 + b'}', 'deep and open': b'[' * 200_000,
    'a key twice': b'{"model": "stub", "model": "stub"}',
    'half a surrogate pair': b'{"model": "stub", "prompt": "\\ud800"}', 'two objects': b'{"model": "stub"}{}',
    'form data': b'model=stub'}
WRONG: dict[str, list[object]] = {
    'model': [None, '', 5], 'prompt': [5, [], ['a', 5], [-1], [True], {}, [2 ** 31]],
    'max_tokens': ['5', 5.0, True, -1, 2 ** 31, 2 ** 63, 2 ** 64], 'stream': ['false', 1], 'echo': [0],
    'temperature': ['1', -1], 'top_p': [1.1], 'n': [0, -1, 10 ** 6, 2 ** 31, 2 ** 63, 2 ** 64],
    'best_of': [-1, 10 ** 6, 2 ** 31, 2 ** 63, 2 ** 64], 'logprobs': [-1, 10 ** 6, 2 ** 63, 2 ** 64],
    'top_k': [-1, 2 ** 63, 2 ** 64], 'seed': [2 ** 63, 2 ** 64, '1', 1.0], 'stop': [5, ['a'] * 65, 'a' * 257],
    'min_tokens': [-1, 2 ** 31, 2 ** 63, 2 ** 64], 'stream_batch_size': [-1, 2 ** 63, 2 ** 64],
    'presence_penalty': ['1', 3], 'add_special_tokens': ['true'], 'ignore_eos': [1],
    'logit_bias': [{'x': 1}, []], 'user': [5], 'stream_options': [{}], 'suffix': [5]}


VALID = {
    'top_k': [2 ** 31, 2 ** 63 - 1], 'stream_batch_size': [2 ** 31, 2 ** 63 - 1], 'seed': [-1, -2 ** 63, 2 ** 63 - 1]}
LARGE = {
    'a million prompts': ['a'] * 10 ** 6, 'a million lists': [[1]] * 10 ** 6,
    'a million numbers and a text': [1] * 10 ** 6 + ['a']}
METHODS = ('HEAD', 'OPTIONS', 'TRACE', 'PUT', 'PATCH', 'DELETE', 'PROPFIND', 'get')
ROUNDS = 20


@pytest.fixture(scope='module')
def wrapper(stack: Stack) -> Server:
    """The wrapper of the stack."""
    return stack.wrapper


@pytest.fixture(scope='module')
def client(wrapper: Server) -> Iterator[Client]:
    """A client of the wrapper itself: nginx would refuse some of this on its own."""
    with closing(Client(wrapper.url)) as client:
        yield client


def first_answer_s(port: int, data: bytes) -> float:
    """Returns the seconds until the answer begins."""
    with socket.create_connection(('127.0.0.1', port), timeout=10) as sock:
        started_s = time.monotonic()
        with contextlib.suppress(ConnectionError):  # it may be refused before all of it is sent
            sock.sendall(data)
        sock.recv(1)
        return time.monotonic() - started_s


def test_quick_and_flat(stack: Stack, figures: Figures) -> None:
    wrapper, pid = stack.wrapper, stack.wrapper.process.pid
    slowest_s = max(min(first_answer_s(wrapper.port, request_bytes(body)) for _ in range(3))
                    for body in BODIES.values())
    figures.below(f'each of {len(BODIES)} kinds of bad bodies is refused, the slowest kind', slowest_s, 0.1)
    before_mb = resident_mb(pid)
    for _ in range(ROUNDS):
        for body in BODIES.values():
            first_answer_s(wrapper.port, request_bytes(body))
    figures.below(f'memory grows by, after {ROUNDS * len(BODIES)} of them', resident_mb(pid) - before_mb, 8, 'MB')
    assert wrapper.process.poll() is None
    figures.exactly('the same process serves on', stack.client.complete().status_code, 200)


@pytest.mark.parametrize('name', BODIES)
def test_bodies(wrapper: Server, name: str) -> None:
    assert_refused(raw(wrapper.port, request_bytes(BODIES[name])))


@pytest.mark.parametrize('name', LARGE)
def test_large_prompts(client: Client, name: str) -> None:
    body = json.dumps({'model': 'stub', 'prompt': LARGE[name]}, separators=(',', ':'))
    response = client.post('/v1/completions', data=body, headers={'Content-Type': 'application/json'})
    assert response.status_code == 400 and error_of(response)['param'] == 'prompt'


@pytest.mark.parametrize('name, value', [(name, value) for name, values in VALID.items() for value in values])
def test_large_numbers_that_mean_something(client: Client, name: str, value: int) -> None:
    assert client.complete(**{name: value}).status_code == 200


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('path', ['/v1/models', '/v1/completions', '/nowhere'])
@pytest.mark.parametrize('key', [None, KEY])
def test_methods(wrapper: Server, method: str, path: str, key: str | None) -> None:
    authorization = '' if key is None else f'Authorization: Bearer {key}\r\n'
    head = f'{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}\r\n'
    answer = raw(wrapper.port, head.encode())
    status = int(answer.split()[1])
    assert 400 <= status < 500 or (method, path, key, status) == ('HEAD', '/v1/models', KEY, 200)
    assert b'<html' not in answer.lower() and b'traceback' not in answer.lower()


def test_expectation_is_met(wrapper: Server) -> None:
    answer = raw(wrapper.port, request_bytes(b'{"model": "stub", "prompt": "Hello"}', 'Expect: 100-continue'))
    assert answer.startswith(b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n')


@pytest.mark.parametrize('place', ['nginx', 'wrapper'])
def test_huge_body_without_a_key(stack: Stack, figures: Figures, place: str) -> None:
    port = stack.nginx.port if place == 'nginx' else stack.wrapper.port
    head = request_bytes(b'', f'Content-Length: {100 * 2 ** 20}', key=None)
    sent = 0
    with socket.create_connection(('127.0.0.1', port), timeout=10) as sock:
        sock.sendall(head)
        sock.setblocking(False)
        while True:
            try:
                answer = sock.recv(4096)
                break
            except BlockingIOError:
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    sent += sock.send(b' ' * 4096)
                time.sleep(0.0005)  # 8 MB/s, for the refusal to come
    assert b' 413 ' in answer.split(b'\r\n')[0]
    figures.below(f'{place}: of 100 MB without a key are sent before the refusal comes', sent / 2 ** 20, 1, 'MB')


@pytest.mark.parametrize('name, value', [(name, value) for name, values in WRONG.items() for value in values])
def test_fields(client: Client, name: str, value: object) -> None:
    response = client.complete(**{'prompt': 'Hello', name: value})
    assert response.status_code == 400
    assert error_of(response)['param'] == name


@pytest.mark.parametrize('data', [
    request_bytes(b'{}', content_type=None), request_bytes(b'{}', content_type='text/plain'),
    request_bytes(b'{}', 'Content-Length: 2', 'Transfer-Encoding: chunked'),
    request_bytes(b'{}', 'Content-Length: 2', 'Content-Length: 3'), request_bytes(b'{}', 'Content-Length: -1'),
    request_bytes(b'{}', 'Content-Length: x'), request_bytes(b'5\r\n{}', 'Transfer-Encoding: chunked, identity'),
    request_bytes(b'{}', 'X: ' + 'y' * 2 ** 20), request_bytes(b'{}', *(f'X{number}: y' for number in range(100_000))),
    request_bytes(b' ' * (5 * 2 ** 20)), b'nonsense\r\n\r\n', b'GET / HTTP/9.9\r\n\r\n',
    b'GET /v1/models HTTP/1.1\nHost: x\r\n\r\n', b'GET /v1/models HTTP/1.1\r\nHost: x\nX: y\r\n\r\n',
    b'\x16\x03\x01\x02\x00\x01\x00\r\n\r\n',
    b'GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer ' + KEY.encode() + b'\r\n\r\n'])
def test_requests(wrapper: Server, data: bytes) -> None:
    assert_refused(raw(wrapper.port, data))


def assert_refused(answer: bytes) -> None:
    """Exactly one response, a 4xx in the API's form."""
    assert re.match(rb'HTTP/1.[01] 4\d\d ', answer), answer[:200]
    head, _, body = answer.partition(b'\r\n\r\n')
    assert b'application/json' in head and b'x-request-id' in head.lower() and b'HTTP/1.' not in body
    assert set(json.loads(body)['error']) == {'message', 'type', 'param', 'code'}


def test_chunked_body_is_accepted(wrapper: Server) -> None:
    body = b'{"model": "stub", "prompt": "Hello"}'
    chunked = b''.join(b'%x\r\n%s\r\n' % (len(piece), piece) for piece in (body[:7], body[7:], b''))
    answer = raw(wrapper.port, request_bytes(chunked, 'Transfer-Encoding: chunked'))
    assert answer.startswith(b'HTTP/1.1 200') and b' world!' in answer


def test_expect_continue_is_honoured(wrapper: Server) -> None:
    body = b'{"model": "stub", "prompt": "Hello"}'
    answer = raw(wrapper.port, request_bytes(body, 'Expect: 100-continue'))
    assert answer.startswith(b'HTTP/1.1 100') and b'HTTP/1.1 200' in answer


@pytest.mark.parametrize('path', ['//v1/models', '/v1;x/models', '/%2e%2e/v1/models', '/v1/models%00', '/v1/../health',
                                  '/.', '/v1/models?key=x', 'http://evil/v1/models', '/health/x', '*'])
def test_no_path_opens_the_door(wrapper: Server, path: str) -> None:
    answer = raw(wrapper.port, f'GET {path} HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n'.encode())
    assert_refused(answer)


def test_same_process_serves_on(wrapper: Server, client: Client) -> None:
    assert wrapper.process.poll() is None
    assert client.complete().status_code == 200
    assert 'Traceback' not in wrapper.output
