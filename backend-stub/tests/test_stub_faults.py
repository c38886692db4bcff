import dataclasses
import http.client
import json
import re
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import requests

import stub_faults
from sandle import errors
from stub_faults import Fault

Serve = Callable[..., AbstractContextManager[tuple[str, 'subprocess.Popen[str]']]]
PATIENCE_S = 10.0


@pytest.fixture(scope='module')
def faulty(serve: Serve) -> Iterator[str]:
    with serve('--faults', '--num-tokens', '6', '--threads', '16', '--max-running', '8') as (url, _):
        yield url


def complete(url: str, prompt: str, stream: bool = True, timeout_s: float = PATIENCE_S) -> requests.Response:
    return requests.post(f'{url}/v1/completions', json={'model': 'stub', 'prompt': prompt, 'stream': stream},
                         stream=True, timeout=timeout_s)


def read_raw(url: str, prompt: str, stream: bool = True) -> tuple[int, bytes]:
    """Returns the status and what of the body came before the connection broke."""
    connection = http.client.HTTPConnection(urllib.parse.urlparse(url).netloc, timeout=PATIENCE_S)
    connection.request('POST', '/v1/completions', json.dumps({'model': 'stub', 'prompt': prompt, 'stream': stream}),
                       {'Content-Type': 'application/json'})
    response = connection.getresponse()
    try:
        return response.status, response.read()
    except http.client.IncompleteRead as error:
        return response.status, b'CUT ' + error.partial
    finally:
        connection.close()


def wait_for_counters(url: str, **expected: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        counters = requests.get(f'{url}/faults', timeout=PATIENCE_S).json()
        if all(counters[name] == value for name, value in expected.items()):
            return
        assert time.monotonic() < deadline_s, counters
        time.sleep(0.02)  # between two looks


@pytest.mark.parametrize(('directive', 'expected'), [
    ('!fault hang', Fault(hang=True)),
    ('cut-after=3', Fault(cut_after=3)),
    ('!fault status=503 retry-after=2', Fault(status=503, retry_after=2)),
    ('!fault first-delay=0.5 delay=1e-2 tokens=7', Fault(first_delay=0.5, delay=0.01, tokens=7)),
    ('!fault crlf  split=2 answer= <b>a=b</b> \nignored', Fault(crlf=True, split=2, answer=' <b>a=b</b>')),
    ('!fault', Fault()),
])
def test_parse_understands(directive: str, expected: Fault) -> None:
    assert stub_faults.parse(directive) == expected


@pytest.mark.parametrize('directive', [
    'explode', 'hang=1', 'cut-after', 'cut-after=-1', 'cut-after=x', 'split=0', 'delay=nan', 'delay=-1', 'status=200',
    'status', 'retry-after=2 !', 'Hang', 'cut_after=3'])
def test_parse_refuses(directive: str) -> None:
    with pytest.raises(errors.InvalidRequestError):
        stub_faults.parse(directive)


def test_every_fault_is_documented() -> None:
    documented = stub_faults.__doc__ or ''
    for field in dataclasses.fields(Fault):
        assert re.search(rf'\b{field.name.replace("_", "-")}\b', documented), field.name


def test_without_the_option_faults_are_ordinary_text(serve: Serve) -> None:
    with serve() as (url, _):
        assert complete(url, '!fault status=503', stream=False).status_code == 200
        assert requests.get(f'{url}/faults', timeout=PATIENCE_S).status_code == 404
        assert requests.post(f'{url}/faults', json={'directive': 'hang'}, timeout=PATIENCE_S).status_code == 404


@pytest.mark.parametrize('status', [400, 401, 403, 404, 429, 500, 502, 503, 504])
def test_status(faulty: str, status: int) -> None:
    response = complete(faulty, f'!fault status={status} retry-after=7')
    assert response.status_code == status
    assert response.headers['Retry-After'] == '7'
    assert response.json()['error'].keys() == {'message', 'type', 'param', 'code'}


def test_loading(faulty: str) -> None:
    response = complete(faulty, '!fault loading')
    assert (response.status_code, response.json()['error']['code']) == (503, 'model_loading')
    assert response.headers['Retry-After'] == '2'


def test_error_after(faulty: str) -> None:
    status, body = read_raw(faulty, '!fault error-after=2')
    events = body.decode().split('\n\n')
    assert status == 200 and len(events) == 4 and events[3] == ''
    assert json.loads(events[2].removeprefix('data: '))['error']['code'] == 'internal_error'
    assert complete(faulty, '!fault error-after=2', stream=False).status_code == 500
    wait_for_counters(faulty, running=0)


def test_cut_after_breaks_the_connection(faulty: str) -> None:
    status, body = read_raw(faulty, '!fault cut-after=2')
    assert status == 200 and body.startswith(b'CUT ') and body.count(b'data: ') == 2
    status, body = read_raw(faulty, '!fault cut-after=10', stream=False)
    assert status == 200 and body.startswith(b'CUT ') and len(body) == 14
    wait_for_counters(faulty, running=0)


def test_stall_after_is_silent_until_the_client_leaves(faulty: str) -> None:
    with complete(faulty, '!fault stall-after=2', timeout_s=0.5) as response:
        received = b''
        with pytest.raises(requests.ConnectionError, match='Read timed out'):
            for piece in response.iter_content(None):
                received += piece
    assert received.count(b'data: ') == 2
    wait_for_counters(faulty, running=0)


@pytest.mark.parametrize('stream', [True, False])
def test_hang_sends_not_a_byte_and_ends_when_the_client_leaves(faulty: str, stream: bool) -> None:
    cancelled = requests.get(f'{faulty}/faults', timeout=PATIENCE_S).json()['cancelled']
    with pytest.raises(requests.ReadTimeout):
        complete(faulty, '!fault hang', stream, timeout_s=0.5)
    wait_for_counters(faulty, running=0, cancelled=cancelled + 1)


def test_garbage(faulty: str) -> None:
    response = complete(faulty, '!fault garbage', stream=False)
    assert (response.status_code, response.headers['Content-Type']) == (200, 'text/html')
    assert 'It works' in response.text
    _, body = read_raw(faulty, '!fault garbage-after=1')
    with pytest.raises(json.JSONDecodeError):
        json.loads(body.split(b'\n\n')[1].removeprefix(b'data: '))
    assert body.endswith(b'data: [DONE]\n\n')


def test_crlf_changes_the_framing_alone(faulty: str) -> None:
    _, plain = read_raw(faulty, '!fault answer=a b')
    _, crlf = read_raw(faulty, '!fault crlf answer=a b')
    assert crlf.count(b'\r\n') == crlf.count(b'\n') == plain.count(b'\n') > 0
    assert crlf.endswith(b'data: [DONE]\r\n\r\n')


def test_split_sends_the_same_bytes_one_by_one(faulty: str) -> None:
    response = complete(faulty, '!fault split=1 answer=é🙂', stream=True)
    pieces = list(response.raw.read_chunked())
    assert all(len(piece) == 1 for piece in pieces)
    texts = [json.loads(line.removeprefix('data: '))['choices'][0]['text']
             for line in b''.join(pieces).decode().split('\n\n')[:-2]]
    assert ''.join(texts).startswith('é🙂')


def test_answer_tokens_and_delays(faulty: str) -> None:
    started_s = time.monotonic()
    body = complete(faulty, '!fault first-delay=0.1 delay=0.1 tokens=3 answer=a to', stream=False).json()
    assert time.monotonic() - started_s >= 0.4
    assert body['choices'][0]['text'] == 'a toa'
    assert body['usage']['completion_tokens'] == 4


def test_unknown_fault_is_a_400(faulty: str) -> None:
    response = complete(faulty, '!fault explode')
    assert response.status_code == 400 and "'explode'" in response.json()['error']['message']


def test_armed_fault_holds_for_so_many_requests_to_its_path(faulty: str) -> None:
    armed = requests.post(f'{faulty}/faults', timeout=PATIENCE_S, json={
        'directive': 'status=500', 'path': '/v1/models', 'count': 2})
    assert armed.json()['armed'] == [{'path': '/v1/models', 'directive': 'status=500', 'count': 2}]
    statuses = [requests.get(f'{faulty}/v1/models', timeout=PATIENCE_S).status_code for _ in range(3)]
    assert statuses == [500, 500, 200]
    requests.post(f'{faulty}/faults', json={'directive': 'garbage', 'path': '/ready', 'count': 0},
                  timeout=PATIENCE_S)
    assert [requests.get(f'{faulty}/ready', timeout=PATIENCE_S).text[:9] for _ in range(3)] == ['<!DOCTYPE'] * 3
    assert requests.delete(f'{faulty}/faults', timeout=PATIENCE_S).json()['armed'] == []
    assert requests.get(f'{faulty}/ready', timeout=PATIENCE_S).json() == {'status': 'ready'}


def test_armed_fault_changes_completions_too(faulty: str) -> None:
    requests.post(f'{faulty}/faults', json={'directive': 'answer=armed'}, timeout=PATIENCE_S)
    texts = [complete(faulty, 'Hello', stream=False).json()['choices'][0]['text'] for _ in range(2)]
    assert texts[0].startswith('armed') and texts[1].startswith(' world!')


@pytest.mark.parametrize(('directive', 'events'), [('die', 0), ('die-after=2', 2)])
def test_die_ends_the_process_as_if_killed(serve: Serve, directive: str, events: int) -> None:
    with serve('--faults') as (url, process):
        received = b''
        try:
            for piece in complete(url, f'!fault {directive}').iter_content(None):
                received += piece
        except requests.RequestException:
            pass
        assert received.count(b'data: ') == events
        assert process.wait(PATIENCE_S) == 137


def test_sigterm_ends_a_hung_request_and_the_process(serve: Serve) -> None:
    with serve('--faults', '--drain-timeout-s', '0.3') as (url, process):
        session = requests.Session()
        with complete(url, '!fault stall-after=1') as response:
            pieces = response.iter_content(None)  # is kept: it closes the connection when it goes
            assert next(pieces).startswith(b'data: ')
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        session.close()


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--max-running', '9', '--threads', '9'], '--max-running'),
    (['--models-file', '/does/not/exist.json'], '--models-file'),
    (['--port', '70000'], '--port'),
    (['--num-tokens', '-1'], '--num-tokens'),
])
def test_wrong_option_stops_the_start_with_a_line_that_names_it(arguments: list[str], words: str) -> None:
    script = Path(__file__).parents[1] / 'serve-backend-stub.py'
    ended = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True,
                           timeout=60, check=False)
    assert ended.returncode == 2
    assert words in ended.stderr and 'Traceback' not in ended.stderr
