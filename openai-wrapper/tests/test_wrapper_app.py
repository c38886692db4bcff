"""What the application as a whole promises: users, origins of other pages, log lines."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

import wrapper_app
from tests.end_to_end.scripted_backend import AUTHORIZED, KEY, Answer, Upstream, completion, error_of
from wrapper_app import Policy
from wrapper_keys import Key, Keys, Limits, digest, key_id

if TYPE_CHECKING:
    from tests.conftest import Wrapper

MakeWrapper: TypeAlias = 'Callable[..., Wrapper]'


@pytest.mark.parametrize('sent', [{}, {'user': 'alice'}, {'user': None}])
@pytest.mark.parametrize('is_key_user', [False, True])
def test_user_is_the_clients_or_the_keys_id_and_never_the_key(make_wrapper: MakeWrapper, upstream: Upstream,
                                                              is_key_user: bool, sent: dict[str, object]) -> None:
    upstream.on_completion(Answer('{}'))
    wrapper = make_wrapper(upstream.url, policy=Policy(is_key_user=is_key_user))
    assert wrapper.client.post('/v1/completions', **completion(**sent)).status_code == 200
    [received] = upstream.completions()
    expected = key_id(KEY) if is_key_user else sent.get('user')

    assert json.loads(received.body).get('user') == expected
    assert KEY.encode() not in received.body and KEY not in str(received.headers)


def preflight(wrapper: 'Wrapper', origin: str) -> dict[str, str]:
    response = wrapper.client.options('/v1/completions', headers={
        'Origin': origin, 'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'authorization,content-type,x-stainless-os,x-evil'})
    return {'status': str(response.status_code), **response.headers}


def test_no_other_origin_may_use_the_api_by_default(make_wrapper: MakeWrapper) -> None:
    wrapper = make_wrapper('http://127.0.0.1:9')
    assert preflight(wrapper, 'https://a.example')['status'] == '401'
    response = wrapper.client.get('/v1/models', headers={**AUTHORIZED, 'Origin': 'https://a.example'})
    assert not any(name.startswith('Access-Control') for name in response.headers.keys())


@pytest.mark.parametrize('configured, origin, is_allowed', [
    ('https://a.example', 'https://a.example', True), ('*', 'https://b.example', True),
    ('https://a.example', 'https://b.example', False), ('https://a.example', 'null', False),
    ('https://a.example', 'https://a.example.evil', False)])
def test_configured_origin_may(make_wrapper: MakeWrapper, configured: str, origin: str, is_allowed: bool) -> None:
    wrapper = make_wrapper('http://127.0.0.1:9', policy=Policy(cors_origins=(configured,)))
    before = preflight(wrapper, origin)
    refused = wrapper.client.get('/v1/models', headers={'Origin': origin})
    assert refused.status_code == 401 and 'Origin' in refused.headers['Vary']
    if is_allowed:
        assert before['status'] == '204' and before['Access-Control-Allow-Origin'] == origin
        assert before['Access-Control-Allow-Headers'] == 'authorization, content-type, x-stainless-os'
        assert refused.headers['Access-Control-Allow-Origin'] == origin  # an error must be readable, too
    else:
        assert before['status'] == '401'
        assert 'Access-Control-Allow-Origin' not in refused.headers
    assert 'Access-Control-Allow-Credentials' not in before


def test_one_line_a_request_without_keys_or_prompts(make_wrapper: MakeWrapper, upstream: Upstream,
                                                    caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, 'wrapper_access')
    upstream.on_completion(Answer('{"choices": []}'))
    client = make_wrapper(upstream.url).client
    caplog.clear()
    client.post('/v1/completions?api_key=hidden', **completion(prompt='a private matter')).close()
    client.get('/health').close()
    [line] = [record.getMessage() for record in caplog.records if record.name == 'wrapper_access']
    assert re.fullmatch(r"request method=POST path=/v1/completions key=[0-9a-f]{8} model=m status=200 bytes=15 "
                        r'seconds=[0-9.]+ reason=ended', line)
    assert KEY not in caplog.text and 'private' not in caplog.text and 'hidden' not in caplog.text


def test_clients_text_forges_no_field_of_the_line(make_wrapper: MakeWrapper, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, 'wrapper_access')
    client = make_wrapper('http://127.0.0.1:9').client
    client.get('/x%20key=admin%0aline', headers=AUTHORIZED).close()
    client.get('/' + 'y' * 5000, headers=AUTHORIZED).close()
    first, second = [record.getMessage() for record in caplog.records if record.name == 'wrapper_access']
    assert r"path='/x key=admin\nline'" in first and len(second) < 400


@pytest.mark.parametrize('method, path, status', [
    ('GET', '/nowhere', 404), ('GET', '/v1/completions', 405), ('DELETE', '/v1/models', 405),
    ('OPTIONS', '/v1/models', 405), ('POST', '/internal/models/load', 404), ('POST', '/internal/models/unload', 404)])
def test_wrong_addresses_and_methods(make_wrapper: MakeWrapper, method: str, path: str, status: int) -> None:
    response = make_wrapper('http://127.0.0.1:9').client.open(path, method=method, headers=AUTHORIZED)
    assert response.status_code == status
    message = str(error_of(response)['message'])
    assert f'({method} {path})' in message or f'Not allowed to {method} on {path}' in message


def test_wrapper_needs_neither_torch_nor_the_engine() -> None:
    """Its image holds neither."""
    here = Path(wrapper_app.__file__).parent
    loaded = subprocess.run(
        [sys.executable, '-c', 'import sys, wrapper_app, sandle.server, sandle.options; print(*sys.modules)'],
        check=True, capture_output=True, text=True, env={'PYTHONPATH': f'{here}:{here.parent}'}).stdout.split()
    assert 'wrapper_forward' in loaded
    assert not [name for name in loaded if name.partition('.')[0] in ('torch', 'transformers', 'numpy')
                or name.startswith('sandle.engine')]


@pytest.mark.parametrize('content_type', [None, 'text/plain', 'application/x-www-form-urlencoded'])
def test_body_that_is_not_declared_json(make_wrapper: MakeWrapper, upstream: Upstream,
                                        content_type: str | None) -> None:
    response = make_wrapper(upstream.url).client.post(
        '/v1/completions', data='{"model": "m"}', content_type=content_type, headers=AUTHORIZED)
    assert response.status_code in (400, 415)
    error_of(response)


def test_key_opens_its_models_alone(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    narrow = Key(digest(KEY), 'id', 'alice', models=frozenset({'other'}))
    client = make_wrapper(upstream.url, keys=Keys({narrow.digest: narrow})).client
    assert client.get('/v1/models', headers=AUTHORIZED).get_json() == {'object': 'list', 'data': []}
    for response in (client.get('/v1/models/m', headers=AUTHORIZED), client.post('/v1/completions', **completion()),
                     client.get('/tokenizer_info?model=m', headers=AUTHORIZED)):
        assert response.status_code == 403
        assert response.get_json()['error'] == {
            'message': 'This API key may not use this model.', 'type': 'invalid_request_error', 'param': 'model',
            'code': 'permission_denied'}
    assert not upstream.completions()


def limited(**limits: int) -> Keys:
    key = Key(digest(KEY), 'id', 'alice', limits=Limits(**limits))
    return Keys({key.digest: key})


def test_usage_is_counted_and_told_to_the_holder_of_the_key(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    upstream.on_completion(Answer('{"usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}}'))
    client = make_wrapper(upstream.url, keys=limited()).client
    for _ in range(2):
        client.post('/v1/completions', **completion()).close()
    client.post('/v1/completions', **completion(max_tokens=-1)).close()  # refused: costs nothing
    told = client.get('/v1/usage', headers=AUTHORIZED).get_json()
    assert (told['key'], told['tokens_today']) == ('alice', 24)
    [row] = told['data']
    assert (row['model'], row['requests'], row['prompt_tokens'], row['completion_tokens']) == ('m', 2, 14, 10)
    assert client.get('/v1/usage').status_code == 401
    for days in ('0', 'x', '-1', '1' * 9):
        assert client.get(f'/v1/usage?days={days}', headers=AUTHORIZED).status_code == 400


def test_refusal_by_a_limit_is_told_with_its_headers(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    upstream.on_completion(Answer('{"usage": {"prompt_tokens": 90, "completion_tokens": 20}}'))
    client = make_wrapper(upstream.url, keys=limited(tokens_per_minute=100, requests_per_minute=50)).client
    good = client.post('/v1/completions', **completion())
    good.close()
    assert good.headers['x-ratelimit-remaining-requests'] == '49'
    refused = client.post('/v1/completions', **completion())
    assert refused.status_code == 429 and refused.get_json()['error']['code'] == 'rate_limit_exceeded'
    assert 1 <= int(refused.headers['Retry-After']) <= 8
    assert refused.headers['x-ratelimit-remaining-tokens'] == '0'
    assert len(upstream.completions()) == 1


STREAM = (b': usage 3 1\ndata: {"choices": [{"text": "a"}]}\n\n: usage 3 2\ndata: {"choices": [{"text": "b"}]}\n\n'
          b': ping\n\n: usage 3 2\ndata: [DONE]\n\n')


def test_usage_of_a_stream_is_read_and_not_passed_on(make_wrapper: MakeWrapper, upstream: Upstream) -> None:
    upstream.on_completion(Answer(STREAM.decode(), content_type='text/event-stream'))
    client = make_wrapper(upstream.url, keys=limited()).client
    response = client.post('/v1/completions', **completion(stream=True))
    assert response.data == re.sub(rb': usage [0-9 ]+\n', b'', STREAM)
    response.close()
    assert upstream.completions()[0].headers['x-sandle-usage']
    [row] = client.get('/v1/usage', headers=AUTHORIZED).get_json()['data']
    assert (row['prompt_tokens'], row['completion_tokens']) == (3, 2)
