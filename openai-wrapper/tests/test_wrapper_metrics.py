"""GET /metrics of the wrapper: what it counts, who may read it, and what never becomes a label."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.scripted_backend import (AUTHORIZED, CHUNKED, KEY, Answer, Received, Upstream, chunk, completion,
                                               stream_head)
from wrapper_keys import Key, Keys, digest

if TYPE_CHECKING:
    from tests.conftest import Wrapper

MakeWrapper = Callable[..., 'Wrapper']
USAGE = '"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}'


def samples(wrapper: 'Wrapper') -> dict[tuple[str, ...], float]:
    """Returns samples by name and the values of their labels, in the order of the labels' names."""
    text = wrapper.client.get('/metrics', headers=AUTHORIZED).get_data(as_text=True)
    return {(sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text) for sample in family.samples}


def requests_of(wrapper: 'Wrapper') -> dict[tuple[str, ...], float]:
    """Returns how many requests there were by model, reason, route and status."""
    return {name[1:]: value for name, value in samples(wrapper).items()
            if name[0] == 'sandle_wrapper_requests_total' and '/metrics' not in name}


def test_an_answer_is_counted_with_its_tokens(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    upstream.on_completion(Answer('{"choices": [], %s}' % USAGE))
    wrapper = make_wrapper(upstream.url)
    for _ in range(2):
        wrapper.client.post('/v1/completions', **completion()).close()
    wrapper.client.post('/m/m/v1/completions', **completion()).close()
    assert requests_of(wrapper) == {('m', 'ended', '/v1/completions', '200'): 3}
    shown = samples(wrapper)
    assert shown['sandle_wrapper_tokens_total', 'prompt', 'm'] == 9
    assert shown['sandle_wrapper_tokens_total', 'completion', 'm'] == 12
    assert shown['sandle_wrapper_request_seconds_count', 'm', '/v1/completions'] == 3
    assert ('sandle_wrapper_first_token_seconds_count', 'm') not in shown


def test_a_streams_first_token_is_not_its_first_ping(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    has_pinged = threading.Event()

    def script(sock: socket.socket, request: object) -> None:
        sock.sendall(stream_head(CHUNKED) + chunk(b': ping\n\n'))
        assert has_pinged.wait(10)
        sock.sendall(chunk(b'data: {"choices": [], %s}\n\n' % USAGE.encode()) + chunk(b'data: [DONE]\n\n') + chunk(b''))

    upstream.on_completion(script)
    wrapper = make_wrapper(upstream.url)
    with wrapper.client.post('/v1/completions', **completion(stream=True)) as response:
        chunks = response.iter_encoded()
        assert next(chunks) == b': ping\n\n'
        assert ('sandle_wrapper_first_token_seconds_count', 'm') not in samples(wrapper)
        assert samples(wrapper)['sandle_wrapper_requests_in_flight',] == 1
        has_pinged.set()
        list(chunks)
    assert samples(wrapper)['sandle_wrapper_first_token_seconds_count', 'm'] == 1
    assert samples(wrapper)['sandle_wrapper_tokens_total', 'completion', 'm'] == 4
    assert requests_of(wrapper) == {('m', 'ended', '/v1/completions', '200'): 1}


def test_refusals_are_counted_by_reason_and_a_clients_text_is_no_label(make_wrapper: MakeWrapper,
                                                                       upstream: Upstream) -> None:
    wrapper = make_wrapper(upstream.url)
    for path in ('/nowhere/forged', '/v1/models/forged', '/v1/models'):
        wrapper.client.get(path, headers=AUTHORIZED).close()
    wrapper.client.get('/v1/models').close()
    wrapper.client.post('/v1/completions', **completion(model='forged')).close()
    wrapper.client.post('/v1/completions', **completion(n='forged')).close()
    assert requests_of(wrapper) == {
        ('', 'invalid_request_error', 'unknown', '404'): 1, ('', 'model_not_found', '/v1/models/{model}', '404'): 1,
        ('', 'ended', '/v1/models', '200'): 1, ('', 'invalid_api_key', '/v1/models', '401'): 1,
        ('', 'model_not_found', '/v1/completions', '404'): 1,
        ('', 'invalid_request_error', '/v1/completions', '400'): 1}
    text = wrapper.client.get('/metrics', headers=AUTHORIZED).get_data(as_text=True)
    assert 'forged' not in text and KEY not in text and Key(digest(KEY), 'id', '').digest.hex()[:8] not in text


@pytest.mark.parametrize(('body', 'status', 'reason'), [
    ('{"error": {"message": "no", "type": "t", "param": null, "code": "forged"}}', 400, 'backend_error'),
    ('<html>', 500, 'internal_error')])
def test_a_backends_own_words_are_no_label(make_wrapper: MakeWrapper, upstream: Upstream, body: str, status: int,
                                           reason: str) -> None:
    upstream.on_completion(Answer(body, status))
    wrapper = make_wrapper(upstream.url)
    wrapper.client.post('/v1/completions', **completion()).close()
    assert requests_of(wrapper) == {('m', reason, '/v1/completions', str(status)): 1}


def test_backends_as_they_stand(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    wrapper = make_wrapper(upstream.url, 'http://127.0.0.1:9')
    wrapper.registry.models()  # waits for the first polls
    shown = samples(wrapper)
    for name in ('reachable', 'ready'):
        assert shown[f'sandle_wrapper_backend_{name}', '127.0.0.1', upstream.url] == 1
        assert shown[f'sandle_wrapper_backend_{name}', '127.0.0.1', 'http://127.0.0.1:9'] == 0
    assert shown['sandle_wrapper_backend_requests', '127.0.0.1', upstream.url] == 0
    assert shown['sandle_wrapper_draining',] == 0
    assert shown['process_open_fds',] > 0
    wrapper.lifecycle.begin_drain()
    assert samples(wrapper)['sandle_wrapper_draining',] == 1


def test_failures_and_failovers(make_wrapper: MakeWrapper, make_upstream: Callable[[], Upstream]) -> None:
    lost, good = make_upstream(), make_upstream()
    lost.on_completion(lambda sock, request: sock.shutdown(socket.SHUT_RDWR))
    lost.scripts['/ready'] = Answer('{}', headers='Connection: close\r\n')  # the request comes on a new connection
    good.on_completion(Answer('{}'))
    wrapper = make_wrapper(lost.url, good.url)
    wrapper.client.post('/v1/completions', **completion()).close()
    shown = samples(wrapper)
    assert shown['sandle_wrapper_backend_failures_total', '127.0.0.1', lost.url] == 1
    assert shown['sandle_wrapper_backend_failures_total', '127.0.0.1', good.url] == 0
    assert shown['sandle_wrapper_failovers_total',] == 1
    assert requests_of(wrapper) == {('m', 'ended', '/v1/completions', '200'): 1}


def test_a_stream_that_breaks_off_is_a_failure(make_wrapper: MakeWrapper, upstream: Upstream) -> None:

    def break_off(sock: socket.socket, request: Received) -> None:
        sock.sendall(stream_head(CHUNKED) + chunk(b'data: {"choices": []}\n\n'))
        sock.shutdown(socket.SHUT_RDWR)

    upstream.on_completion(break_off)
    wrapper = make_wrapper(upstream.url)
    with wrapper.client.post('/v1/completions', **completion(stream=True)) as response:
        assert b'backend_lost' in response.get_data()
    shown = samples(wrapper)
    assert shown['sandle_wrapper_backend_failures_total', '127.0.0.1', upstream.url] == 1
    assert requests_of(wrapper) == {('m', 'backend_lost', '/v1/completions', '200'): 1}


def test_a_backend_given_twice_has_one_sample(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    wrapper = make_wrapper(upstream.url, upstream.url)
    wrapper.registry.models()
    text = wrapper.client.get('/metrics', headers=AUTHORIZED).get_data(as_text=True)
    assert text.count('sandle_wrapper_backend_ready{') == 1


def test_a_full_disk_shows(make_wrapper: MakeWrapper, upstream: Upstream, tmp_path: Path) -> None:
    state_dir = tmp_path / 'state'
    wrapper = make_wrapper(upstream.url, state_dir=state_dir)
    assert samples(wrapper)['sandle_wrapper_usage_writable',] == 1
    state_dir.write_text('a file where the folder should be')
    upstream.on_completion(Answer('{"choices": [], %s}' % USAGE))
    assert wrapper.client.post('/v1/completions', **completion()).status_code == 200
    wrapper.book.write()
    assert samples(wrapper)['sandle_wrapper_usage_writable',] == 0


def test_the_numbers_are_not_for_keys_of_some_models(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    narrow = Key(digest(KEY), 'id', 'alice', models=frozenset({'m'}))
    client = make_wrapper(upstream.url, keys=Keys({narrow.digest: narrow})).client
    refused = client.get('/metrics', headers=AUTHORIZED)
    assert refused.status_code == 403 and 'sandle_' not in refused.get_data(as_text=True)
    assert client.get('/metrics').status_code == 401
