"""Which models there are, and where, whatever the backends do."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandle.errors import BadGatewayError
from tests.end_to_end.scripted_backend import AUTHORIZED, Answer, Upstream, completion, error_of, wait_for
from wrapper_listing import model_objects
from wrapper_registry import FIRST_POLL_WAIT_S

if TYPE_CHECKING:
    from tests.conftest import Wrapper

DEAD = 'http://127.0.0.1:9'


def ids(wrapper: 'Wrapper') -> list[str]:
    response = wrapper.client.get('/v1/models', headers=AUTHORIZED)
    assert response.status_code == 200
    return [model['id'] for model in response.get_json()['data']]


def test_first_listing_is_whole(make_wrapper: Callable[..., 'Wrapper'], make_upstream: Callable[[], Upstream]) -> None:
    first, second = make_upstream(), make_upstream()
    first.list_models({'id': 'b'}, {'id': 'shared'})

    second.list_models({'id': 'shared'}, {'id': 'a/c'})
    wrapper = make_wrapper(first.url, second.url)
    assert ids(wrapper) == ['b', 'shared', 'a/c']


def test_dead_slow_and_hanging_backends_delay_nobody(make_wrapper: Callable[..., 'Wrapper'],
                                                     make_upstream: Callable[[], Upstream]) -> None:
    """In the original one hung backend hung the listing; here it may only cost the process's first second."""
    good, hanging = make_upstream(), make_upstream()
    hanging.scripts['/v1/models'] = hanging.wait_until_client_leaves
    wrapper = make_wrapper(hanging.url, DEAD, good.url)
    assert ids(wrapper) == ['m']
    time.sleep(FIRST_POLL_WAIT_S)  # in which answers may be slow
    for path in ('/v1/models', '/v1/models/m', '/v1/models/unknown', '/ready'):
        took_s = []
        for _ in range(3):  # a busy machine may be slow now and then
            started_s = time.monotonic()
            wrapper.client.get(path, headers=AUTHORIZED)
            took_s.append(time.monotonic() - started_s)
        assert min(took_s) < 0.3, path


@pytest.mark.parametrize('path', ['/v1/models/org/name', '/v1/models/org%2Fname', '/v1/models/org%2fname'])
def test_model_ids_hold_slashes(make_wrapper: Callable[..., 'Wrapper'], upstream: Upstream, path: str) -> None:
    upstream.list_models({'id': 'other'}, {'id': 'org/name', 'max_model_len': 7})
    model = make_wrapper(upstream.url).client.get(path, headers=AUTHORIZED).get_json()
    assert (model['id'], model['max_model_len']) == ('org/name', 7)


def test_model_that_is_there_is_found_and_another_is_not(make_wrapper: Callable[..., 'Wrapper'],
                                                         upstream: Upstream) -> None:
    """The original had this condition inverted."""
    client = make_wrapper(upstream.url).client
    assert client.get('/v1/models/m', headers=AUTHORIZED).status_code == 200
    response = client.get('/v1/models/n', headers=AUTHORIZED)
    assert response.status_code == 404
    assert {'code': 'model_not_found', 'param': 'model'}.items() <= error_of(response).items()


def test_allowed_models_are_all_there_is(make_wrapper: Callable[..., 'Wrapper'], upstream: Upstream) -> None:
    upstream.list_models({'id': 'm'}, {'id': 'secret'})
    wrapper = make_wrapper(upstream.url, allowed=frozenset({'m', 'absent'}))
    assert ids(wrapper) == ['m']
    assert wrapper.client.get('/v1/models/secret', headers=AUTHORIZED).status_code == 404
    assert wrapper.client.post('/v1/completions', **completion(model='secret')).status_code == 404
    assert upstream.completions() == []


def test_lost_backend_keeps_its_models_with_an_error(make_wrapper: Callable[..., 'Wrapper'],
                                                     upstream: Upstream) -> None:
    wrapper = make_wrapper(upstream.url, max_wait_s=0.3)
    assert ids(wrapper) == ['m'] and wrapper.client.get('/ready').status_code == 200
    upstream.close()
    wrapper.registry.poll_soon()
    assert wait_for(lambda: wrapper.client.get('/ready').status_code == 503)
    model = wrapper.client.get('/v1/models/m', headers=AUTHORIZED).get_json()
    assert model['status'] == 'error' and model['status_message']
    response = wrapper.client.post('/v1/completions', **completion())
    assert response.status_code == 503 and error_of(response)['code'] == 'unavailable'
    assert response.headers['Retry-After'] == '5'


def test_backend_never_reached_is_a_bad_gateway(make_wrapper: Callable[..., 'Wrapper']) -> None:
    wrapper = make_wrapper(DEAD)
    assert ids(wrapper) == []
    response = wrapper.client.post('/v1/completions', **completion())
    assert response.status_code == 502 and error_of(response)['code'] == 'backend_unreachable'


def test_new_model_is_found_at_once(make_wrapper: Callable[..., 'Wrapper'], upstream: Upstream) -> None:
    wrapper = make_wrapper(upstream.url)
    assert ids(wrapper) == ['m']
    upstream.list_models({'id': 'm'}, {'id': 'new'})
    assert wrapper.client.get('/v1/models/new', headers=AUTHORIZED).status_code == 200


def test_ready_follows_the_backends(make_wrapper: Callable[..., 'Wrapper'], upstream: Upstream) -> None:
    upstream.scripts['/ready'] = Answer('{"status": "loading"}', status=503)
    wrapper = make_wrapper(upstream.url)
    assert ids(wrapper) == ['m']
    response = wrapper.client.get('/ready')
    assert (response.status_code, response.get_json()) == (503, {'status': 'loading'})
    upstream.scripts['/ready'] = Answer('not found', status=404)  # as of a server that has no such address
    assert wait_for(lambda: wrapper.client.get('/ready').status_code == 200)


@pytest.mark.parametrize('script', [
    Answer('<html>', content_type='text/html'), Answer('[]'), Answer('{"data": 5}'), Answer('{}', status=500),
    Answer('[' * 100_000), Answer('{"data": [{"id": "\\ud800"}]}'),
    Answer('{"data": []}', status=302, headers='Location: http://127.0.0.1:1/\r\n')])
def test_nonsense_for_a_listing_counts_as_out_of_reach(make_wrapper: Callable[..., 'Wrapper'], upstream: Upstream,
                                                       script: Answer) -> None:
    upstream.scripts['/v1/models'] = script
    wrapper = make_wrapper(upstream.url)
    assert ids(wrapper) == []
    upstream.list_models({'id': 'm'})
    assert wait_for(lambda: ids(wrapper) == ['m'])


def test_progress_of_a_download_is_passed_on_until_the_backend_is_lost(make_wrapper: Callable[..., 'Wrapper'],
                                                                       upstream: Upstream) -> None:
    progress = {'downloaded_bytes': 5, 'total_bytes': 9, 'bytes_per_second': 0, 'remaining_seconds': None}
    upstream.list_models({'id': 'm', 'status': 'loading', 'progress': progress}, {'id': 'n', 'progress': 'much'})
    wrapper = make_wrapper(upstream.url)

    def shown(model: str) -> dict[str, object]:
        return dict(wrapper.client.get(f'/v1/models/{model}', headers=AUTHORIZED).get_json())

    assert shown('m')['progress'] == progress
    assert 'progress' not in shown('n'), 'nonsense is left out'
    upstream.close()
    wrapper.registry.poll_soon()
    assert wait_for(lambda: shown('m')['status'] == 'error') and 'progress' not in shown('m')


def test_listing_of_another_server_is_filled_in() -> None:
    [model] = model_objects({'data': [
        {'id': 'vllm', 'object': 'model', 'created': 5, 'owned_by': 'vllm', 'root': '/weights', 'parent': None,
         'max_model_len': 2048, 'permission': [{'id': 'x'}]}]})
    assert model.model_dump() == {
        'id': 'vllm', 'object': 'model', 'created': 5, 'owned_by': 'vllm', 'permission': [], 'root': '/weights',
        'parent': None, 'description': '', 'max_model_len': 2048, 'status': 'ready', 'status_message': None,
        'capabilities': ['best_of', 'echo', 'frequency_penalty', 'logit_bias', 'logprobs', 'n', 'presence_penalty',
                         'seed']}


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                           lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


@given(st.fixed_dictionaries({'data': json_values | st.lists(st.one_of(json_values, st.fixed_dictionaries(
    {'id': st.text() | json_values},
    optional={name: json_values for name in ('created', 'status', 'capabilities', 'max_model_len', 'root', 'object')}
)), max_size=4)}))
@example({'data': [{'id': 'a', 'capabilities': [1, 2]}, {'id': 'a'}]})
def test_any_listing_gives_models_or_one_error(listing: dict[str, object]) -> None:
    try:
        models = model_objects(listing)
    except BadGatewayError:
        return
    assert len({model.id for model in models}) == len(models)
    for model in models:
        model.model_dump_json()


def test_backend_that_moves_is_followed(make_wrapper: Callable[..., 'Wrapper'], make_upstream: Callable[[], Upstream],
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a container comes back with another address: the name is looked up again, no connection is kept."""
    import socket
    before, after = make_upstream(), make_upstream()
    for upstream in (before, after):
        upstream.on_completion(Answer('{"choices": []}'))
    now = before.port
    real = socket.getaddrinfo

    def look_up(host: str, port: int, **how: int) -> object:
        return real('127.0.0.1', now, **how)

    monkeypatch.setattr('wrapper_backend.socket.getaddrinfo', look_up)
    wrapper = make_wrapper('http://backend-that-moves:8000')
    assert wrapper.client.post('/v1/completions', **completion()).status_code == 200
    now = after.port
    before.close()
    assert wait_for(lambda: wrapper.client.post('/v1/completions', **completion()).status_code == 200, 5.0)
    assert len(after.completions()) == 1
