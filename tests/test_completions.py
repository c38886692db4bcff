"""The endpoints of a backend over a scripted engine, through Flask's test client."""

import dataclasses
import itertools
import json
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import flask
import flask.testing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from sandle import app as http
from sandle import endpoints, errors, sse
from sandle.accounting import UsageMemory
from sandle.sampling_request import CompletionLimits
from sandle.engine.download import Download
from sandle.engine.engine import Delta, Finished, FinishReason, ModelStatus, SamplingParams
from sandle.protocol import CompletionRequest
from tests.scripted_engine import EVERYTHING, ScriptedEngine, Step, delta, model, token

STOP = FinishReason.STOP
HELLO: list[Step] = [delta('Hel'), None, delta('lo', reason=STOP), Finished(3, 2)]


class Backend:
    """An application over a scripted engine, with a client that can leave."""

    def __init__(self, steps: Sequence[Step] = HELLO, **options: Any) -> None:
        self.engine = ScriptedEngine(steps, **options)
        self.lifecycle = http.Lifecycle()
        self.app = http.create_app('test', self.lifecycle)
        self.is_gone = False
        endpoints.add_routes(self.app, self.engine, self.lifecycle, CompletionLimits(8, 5))
        self.client = self.app.test_client()

    def post(self, **fields: object) -> Any:  # Any: werkzeug's TestResponse, whose json is Any
        """Sends a completion request; the response is not read yet."""
        return self.client.post('/v1/completions', json={'model': 'org/model', **fields}, buffered=False,
                                environ_overrides={'waitress.client_disconnected': lambda: self.is_gone})

    def events(self, **fields: object) -> list[Any]:
        """Sends a streaming request and returns its events, the last one as text."""
        response = self.post(stream=True, **fields)
        assert (response.status_code, response.content_type) == (200, sse.CONTENT_TYPE)
        blocks = response.get_data(as_text=True).split('\n\n')
        assert blocks.pop() == ''
        data = [block.removeprefix('data: ') for block in blocks if not block.startswith(':')]
        return [json.loads(item) if item.startswith('{') else item for item in data]


def error_of(response: Any) -> dict[str, Any]:
    body = response.get_json()
    assert body.keys() == {'error'} and body['error'].keys() == {'message', 'type', 'param', 'code'}
    error: dict[str, Any] = body['error']
    return error


def test_unstreamed_answer() -> None:
    backend = Backend()
    response = backend.post(prompt='Say')
    body = response.get_json()
    assert response.status_code == 200 and response.content_type == 'application/json'
    assert body.pop('id').startswith('cmpl-') and isinstance(body.pop('created'), int)
    assert body == {
        'object': 'text_completion', 'model': 'org/model', 'system_fingerprint': 'fp_sandle',
        'choices': [{'text': 'Hello', 'index': 0, 'logprobs': None, 'finish_reason': 'stop'}],
        'usage': {'prompt_tokens': 3, 'completion_tokens': 2, 'total_tokens': 5}}
    assert backend.engine.handles[0].cancelled == 0


def test_stream() -> None:
    backend = Backend()
    response = backend.post(prompt='Say', stream=True)
    assert response.headers['Cache-Control'] == 'no-cache' and response.headers['X-Accel-Buffering'] == 'no'
    response.close()
    *chunks, last = backend.events(prompt='Say')
    assert last == '[DONE]'
    assert [chunk['choices'] for chunk in chunks] == [
        [{'text': 'Hel', 'index': 0, 'logprobs': None, 'finish_reason': None}],
        [{'text': 'lo', 'index': 0, 'logprobs': None, 'finish_reason': 'stop'}]]
    assert all('usage' not in chunk and chunk['object'] == 'text_completion' for chunk in chunks)
    assert len({(chunk['id'], chunk['created'], chunk['model']) for chunk in chunks}) == 1


def test_stream_with_usage_has_one_more_chunk() -> None:
    *chunks, usage, last = Backend().events(stream_options={'include_usage': True})
    assert last == '[DONE]'
    assert [chunk['usage'] for chunk in chunks] == [None, None]
    assert usage['choices'] == []
    assert usage['usage'] == {'prompt_tokens': 3, 'completion_tokens': 2, 'total_tokens': 5}


def test_request_reaches_the_engine() -> None:
    backend = Backend([errors.InternalError('enough')])
    backend.post(
        prompt=['a', 'b'], max_tokens=5, temperature=0.5, top_p=0.9, top_k=3, min_p=0.1, typical_p=0.8,
        presence_penalty=1, frequency_penalty=-1, repetition_penalty=1.5, seed=-1, stop=['x', ''], min_tokens=2,
        logit_bias={'7': -100, '8': 1.5}, ignore_eos=True, logprobs=3, n=2, best_of=3, echo=True,
        add_special_tokens=False, user='me')
    request = backend.engine.requests[0]
    assert request.params == SamplingParams(
        max_tokens=5, temperature=0.5, top_p=0.9, top_k=3, min_p=0.1, typical_p=0.8, presence_penalty=1,
        frequency_penalty=-1, repetition_penalty=1.5, logit_bias=((7, -100), (8, 1.5)), seed=-1, stops=('x',),
        min_tokens=2, ignore_eos=True, logprobs=3)
    assert (request.model, request.prompts, request.candidates) == ('org/model', ('a', 'b'), 3)
    assert (request.echo, request.suffix, request.add_special_tokens, request.user) == (True, None, False, 'me')


@pytest.mark.parametrize(('fields', 'expected'), [
    ({}, SamplingParams()),
    ({'greedy_decoding': True}, SamplingParams(temperature=0)),
    ({'top_p': 0}, SamplingParams(top_p=1)),
    ({'best_of': 2}, SamplingParams(logprobs=0)),  # ranking needs them
    ({'n': 2, 'best_of': 2}, SamplingParams()), ({'suffix': ''}, SamplingParams()),
])
def test_fields_that_change_on_the_way(fields: dict[str, object], expected: SamplingParams) -> None:
    backend = Backend([errors.InternalError('enough')])
    backend.post(**fields)
    assert backend.engine.requests[0].params == expected


@pytest.mark.parametrize(('suffix', 'expected'), [('end', 'end'), ('', None), (None, None)])
def test_a_suffix_reaches_the_engine_and_an_empty_one_is_none(suffix: str | None, expected: str | None) -> None:
    backend = Backend([errors.InternalError('enough')])
    backend.post(suffix=suffix)
    assert backend.engine.requests[0].suffix == expected


def test_whether_a_model_fills_in_is_known_once_it_is_loaded() -> None:
    for status, reaches in ((ModelStatus.READY, False), (ModelStatus.AVAILABLE, True), (ModelStatus.LOADING, True)):
        backend = Backend([errors.InternalError('enough')], models=[model(EVERYTHING - {'suffix'}, status)])
        response = backend.post(suffix='end')
        assert bool(backend.engine.requests) == reaches
        assert error_of(response)['param'] == (None if reaches else 'suffix')


@pytest.mark.parametrize(('prompt', 'prompts'), [
    ([1, 2], ((1, 2),)), ([[1], [2, 3]], ((1,), (2, 3))), ('a', ('a',)), (None, ('',))])
def test_prompts_reach_the_engine_as_they_are(prompt: object, prompts: tuple[object, ...]) -> None:
    backend = Backend([errors.InternalError('enough')])
    backend.post(prompt=prompt)
    assert backend.engine.requests[0].prompts == prompts


def choices_script(texts: Sequence[str], interleaved: bool) -> list[Step]:
    """Returns a script with a choice for each text, a character a step."""
    by_choice = [[delta(letter, choice) for letter in text] + [Delta(choice, '', (), STOP)]
                 for choice, text in enumerate(texts)]
    columns = itertools.zip_longest(*by_choice) if interleaved else by_choice
    return [each for column in columns for each in column if each is not None] + [Finished(1, sum(map(len, texts)))]


@pytest.mark.parametrize('interleaved', [True, False])
def test_choices_are_in_order_whatever_order_they_come_in(interleaved: bool) -> None:
    script = choices_script(['one', 'two', 'three', 'four'], interleaved)
    body = Backend(script).post(prompt=['a', 'b'], n=2).get_json()
    assert [(choice['index'], choice['text']) for choice in body['choices']] == [
        (0, 'one'), (1, 'two'), (2, 'three'), (3, 'four')]
    *chunks, _ = Backend(script).events(prompt=['a', 'b'], n=2)
    assert all(len(chunk['choices']) == 1 for chunk in chunks)
    assert {index: ''.join(chunk['choices'][0]['text'] for chunk in chunks if chunk['choices'][0]['index'] == index)
            for index in range(4)} == {0: 'one', 1: 'two', 2: 'three', 3: 'four'}


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4), st.booleans(), st.integers(0, 3), st.booleans(),
       st.none() | st.integers(0, 2))
@settings(deadline=None)
def test_unstreamed_answer_is_the_sum_of_the_stream(texts: list[str], interleaved: bool, batch_size: int,
                                                    return_token_ids: bool, logprobs: int | None) -> None:
    script = choices_script(texts, interleaved)
    fields: dict[str, object] = {'n': len(texts), 'stream_batch_size': batch_size, 'logprobs': logprobs,
                                 'return_token_ids': return_token_ids}
    whole = Backend(script).post(**fields).get_json()
    *chunks, usage, last = Backend(script).events(stream_options={'include_usage': True}, **fields)
    assert last == '[DONE]' and usage['usage'] == whole['usage']
    for choice in whole['choices']:
        parts = [part for chunk in chunks for part in chunk['choices'] if part['index'] == choice['index']]
        assert ''.join(part['text'] for part in parts) == choice['text']
        assert [part['finish_reason'] for part in parts] == [None] * (len(parts) - 1) + [choice['finish_reason']]
        if return_token_ids:
            assert sum((part['token_ids'] for part in parts), []) == choice['token_ids']
            assert parts[0]['prompt_token_ids'] == choice['prompt_token_ids'] == [1, 2]
        if logprobs is not None:
            for name, values in choice['logprobs'].items():
                assert sum((part['logprobs'][name] for part in parts), []) == values


def test_best_of_returns_the_most_likely_and_counts_all() -> None:
    script: list[Step] = [delta('bad', 0, logprob=-3.0), delta('good', 1, logprob=-0.1), delta('fair', 2, logprob=-1.0),
                          *(Delta(choice, '', (), STOP) for choice in range(3)), Finished(1, 3)]
    body = Backend(script).post(best_of=3).get_json()
    assert [(choice['index'], choice['text'], choice['logprobs']) for choice in body['choices']] == [(0, 'good', None)]
    assert body['usage']['completion_tokens'] == 3


def test_echo_with_logprobs_keeps_every_token() -> None:
    prompt = Delta(0, 'ab', (token('a', logprob=None), token('b')), is_prompt=True)
    end = Delta(0, '', (token('<eos>', logprob=-0.1),), STOP)
    body = Backend([prompt, end, Finished(2, 1)]).post(echo=True, logprobs=0, max_tokens=1).get_json()
    logprobs = body['choices'][0]['logprobs']
    assert body['choices'][0]['text'] == 'ab'
    assert logprobs['tokens'] == ['a', 'b', '<eos>'] and logprobs['token_logprobs'] == [None, -0.5, -0.1]


@pytest.mark.parametrize('error', [
    errors.InternalError('The step failed.'), errors.ShuttingDownError('The end.', retry_after_s=5)])
def test_an_error_in_mid_stream_is_an_event_and_the_end(error: errors.ApiError) -> None:
    backend = Backend([delta('a'), error])
    chunk, last = backend.events()
    assert chunk['choices'][0]['text'] == 'a' and chunk['choices'][0]['finish_reason'] is None
    assert last == error.body()
    assert backend.engine.handles[0].cancelled == 1


def test_a_fault_of_ours_in_mid_stream_is_an_event_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    backend = Backend([delta('a'), ZeroDivisionError('secret')])
    chunk, last = backend.events()
    assert last['error']['code'] == 'internal_error'
    assert 'secret' not in json.dumps(last) and 'req-' in last['error']['message']
    assert 'ZeroDivisionError: secret' in caplog.text
    assert backend.engine.handles[0].cancelled == 1


@pytest.mark.parametrize(('error', 'status'), [
    (errors.InternalError('The step failed.'), 500), (errors.ShuttingDownError('The end.', retry_after_s=5), 503),
    (ZeroDivisionError('secret'), 500)])
def test_an_error_in_an_unstreamed_answer_is_the_response(error: Exception, status: int) -> None:
    backend = Backend([delta('a'), error])
    response = backend.post()
    assert response.status_code == status
    assert 'secret' not in error_of(response)['message']
    assert backend.engine.handles[0].cancelled == 1


@pytest.mark.parametrize('stream', [True, False])
@pytest.mark.parametrize(('refusal', 'status', 'retry_after'), [
    (errors.ModelLoadingError('Loading.', retry_after_s=3), 503, '3'),
    (errors.QueueFullError('Full.', retry_after_s=0), 503, '1'),
    (errors.ContextLengthExceededError(10, 8, 16), 400, None)])
def test_a_refusal_of_the_engine_is_the_response(refusal: errors.ApiError, status: int, retry_after: str | None,
                                                 stream: bool) -> None:
    response = Backend(refusal=refusal).post(stream=stream)
    assert (response.status_code, response.headers.get('Retry-After')) == (status, retry_after)
    assert error_of(response) == refusal.body()['error']


def test_context_overflow_is_worded_as_clients_expect() -> None:
    error = error_of(Backend(refusal=errors.ContextLengthExceededError(2048, 2000, 100)).post())
    assert error == {
        'message': "This model's maximum context length is 2048 tokens, however you requested 2100 tokens (2000 in "
                   'your prompt; 100 for the completion). Please reduce your prompt; or completion length.',
        'type': 'invalid_request_error', 'param': 'max_tokens', 'code': 'context_length_exceeded'}


def test_silence_is_filled_with_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, 'PING_INTERVAL_S', 0.0)
    body = Backend([None, delta('a'), None, Finished(1, 1)]).post(stream=True).get_data()
    first, second, third, rest = body.split(b'\n\n', 3)
    assert (first, third, rest) == (b': ping', b': ping', b'data: [DONE]\n\n')
    assert json.loads(second.removeprefix(b'data: '))['choices'][0]['text'] == 'a'
    monkeypatch.setattr(sse, 'PING_INTERVAL_S', 60.0)
    assert sse.PING not in Backend([None, delta('a'), None, Finished(1, 1)]).post(stream=True).get_data()


def test_place_in_the_queue_is_told_after_a_while_and_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [3, 3, 1, None, delta('a'), Finished(1, 1)]
    assert b'queue' not in Backend(steps).post(stream=True).get_data()
    monkeypatch.setattr(sse, 'QUEUE_AFTER_S', 0.0)
    body = Backend(steps).post(stream=True).get_data()
    assert body.startswith(b': queue 3\n\n: queue 1\n\ndata: {') and body.count(b'queue') == 2
    assert b'queue' not in Backend(steps).post().get_data()


def test_turns_are_shared_out_by_the_wrappers_word_before_the_bodys() -> None:
    for headers, user in (({'X-Sandle-Key': 'alice'}, 'alice'), ({}, 'anything')):
        backend = Backend([delta('a', reason=FinishReason.STOP), Finished(1, 1)])
        backend.client.post('/v1/completions', json={'model': 'org/model', 'user': 'anything'}, headers=headers)
        assert backend.engine.requests[0].user == user


@pytest.mark.parametrize('stream', [True, False])
def test_a_client_that_leaves_cancels(stream: bool) -> None:
    backend = Backend([None] * 1000)
    backend.is_gone = True
    response = backend.post(stream=stream)
    body = response.get_data()
    assert response.status_code == (200 if stream else 499) and b'client_disconnected' in body
    assert backend.engine.handles[0].cancelled == 1


def test_closing_a_stream_halfway_cancels() -> None:
    backend = Backend()
    response = backend.post(stream=True)
    assert b'Hel' in next(response.response)
    response.close()
    assert backend.engine.handles[0].cancelled == 1
    assert backend.lifecycle.wait_until_idle(0)


def test_closing_a_stream_before_its_first_byte_cancels() -> None:
    backend = Backend()
    builder = EnvironBuilder(path='/v1/completions', method='POST', json={'model': 'org/model', 'stream': True})
    # Without the test client, which would read the first piece.
    body = backend.app.wsgi_app(builder.get_environ(), lambda *args: lambda data: None)
    assert not backend.lifecycle.wait_until_idle(0)
    body.close()  # type: ignore[attr-defined]  # WSGI's way: it is there if the body needs it
    assert backend.engine.handles[0].cancelled == 1
    assert backend.lifecycle.wait_until_idle(0)


SUPPORTED_BY_EVERY_MODEL = {
    'prompt': 'a', 'max_tokens': 5, 'temperature': 0, 'top_p': 0.5, 'stop': 'x', 'user': 'me', 'greedy_decoding': True,
    'stream_batch_size': 2, 'add_special_tokens': False}
PER_CAPABILITY: dict[str, object] = {
    'n': 2, 'best_of': 2, 'logprobs': 0, 'echo': True, 'presence_penalty': 1, 'frequency_penalty': 1,
    'logit_bias': {'1': 1}, 'seed': 0, 'suffix': 'x', 'top_k': 1, 'min_p': 0.1, 'typical_p': 0.5,
    'repetition_penalty': 2, 'min_tokens': 1, 'ignore_eos': True, 'return_token_ids': True,
    'response_format': {'type': 'json_object'}}


def test_the_lists_of_this_test_name_every_field() -> None:
    names = set(CompletionRequest.model_fields)
    assert {*SUPPORTED_BY_EVERY_MODEL, *PER_CAPABILITY, 'model', 'stream', 'stream_options'} == names
    assert set(PER_CAPABILITY) == EVERYTHING


@pytest.mark.parametrize('name', sorted(PER_CAPABILITY))
def test_a_field_beyond_the_models_capabilities_is_refused_by_name(name: str) -> None:
    without = model(capabilities=EVERYTHING - {name})
    response = Backend(models=[without]).post(**{name: PER_CAPABILITY[name]})
    error = error_of(response)
    assert (response.status_code, error['param'], error['code']) == (400, name, 'unsupported_parameter')
    backend = Backend([errors.InternalError('reached')], models=[model(frozenset({name}))])
    assert error_of(backend.post(**{name: PER_CAPABILITY[name]}))['message'] == 'reached'


def test_basic_fields_need_no_capability() -> None:
    backend = Backend(models=[model(frozenset())])
    assert backend.post(**SUPPORTED_BY_EVERY_MODEL).status_code == 200
    nulls = {name: None for name in PER_CAPABILITY}
    assert backend.post(**nulls).status_code == 200


@pytest.mark.parametrize(('fields', 'param'), [
    ({'n': 9}, 'n'), ({'prompt': ['a'] * 9}, 'n'), ({'prompt': ['a'] * 3, 'n': 3}, 'n'),
    ({'prompt': ['a'] * 3, 'best_of': 3}, 'best_of'), ({'logprobs': 6}, 'logprobs'), ({'prompt': 5}, 'prompt')])
def test_limits(fields: dict[str, object], param: str) -> None:
    response = Backend().post(**fields)
    assert (response.status_code, error_of(response)['param']) == (400, param)


def test_an_unknown_model_is_a_404() -> None:
    response = Backend().post(model='gone')
    error = error_of(response)
    assert (response.status_code, error['code'], error['param']) == (404, 'model_not_found', 'model')


def test_models_are_listed() -> None:
    models = [model(), model(name='b', status=ModelStatus.AVAILABLE, capabilities=frozenset({'n', 'echo'}))]
    client = Backend(models=models).client
    listing = client.get('/v1/models').get_json()
    assert listing['object'] == 'list' and [entry['id'] for entry in listing['data']] == ['org/model', 'b']
    assert listing['data'][1] == {
        'id': 'b', 'object': 'model', 'created': 1, 'owned_by': 'org', 'permission': [], 'root': 'b', 'parent': None,
        'description': 'a model', 'max_model_len': 128, 'status': 'available', 'status_message': None,
        'capabilities': ['echo', 'n']}
    for path in ('/v1/models/org/model', '/v1/models/org%2Fmodel'):
        assert client.get(path).get_json() == listing['data'][0]


def test_download_of_a_model_is_told() -> None:
    fetched = dataclasses.replace(model(status=ModelStatus.LOADING), download=Download(10, 100, 4.4))
    shown = Backend(models=[fetched]).client.get('/v1/models/org/model').get_json()
    assert shown['progress'] == {
        'downloaded_bytes': 10, 'total_bytes': 100, 'bytes_per_second': 4, 'remaining_seconds': 20}


@pytest.mark.parametrize('path', ['gone', 'org', 'org/model/', 'org//model', 'org%2fmodel%00', 'ORG/model'])
def test_another_id_is_a_404(path: str) -> None:
    response = Backend().client.get(f'/v1/models/{path}')
    assert (response.status_code, error_of(response)['code']) == (404, 'model_not_found')


def test_ready_tells_whether_the_engine_is() -> None:
    backend = Backend()
    assert (backend.client.get('/ready').status_code, backend.client.get('/ready').get_json()) == (
        200, {'status': 'ready'})
    backend.engine.is_loaded = False
    response = backend.client.get('/ready')
    assert (response.status_code, response.get_json()) == (503, {'status': 'loading'})
    backend.lifecycle.begin_drain()
    response = backend.client.get('/ready')
    assert (response.status_code, response.get_json()) == (503, {'status': 'draining'})
    assert backend.client.get('/health').status_code == 200


@pytest.mark.parametrize(('stream', 'steps', 'reason', 'tokens'), [
    (False, HELLO, 'stop', 2), (True, HELLO, 'stop', 2), (True, [errors.InternalError('x')], 'internal_error', 1)])
def test_one_log_line_a_request_without_the_prompt(stream: bool, steps: list[Step], reason: str, tokens: int,
                                                   caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level('INFO'):
        Backend(steps).post(prompt='secret', stream=stream).get_data()
    (line,) = [record.getMessage() for record in caplog.records if record.name == 'sandle.generation']
    assert f'completion_tokens={tokens}' in line and line.endswith(f'reason={reason}') and 'secret' not in line


def test_flask_has_no_route_of_its_own() -> None:
    backend = Backend()
    assert isinstance(backend.app, flask.Flask)
    assert {rule.rule for rule in backend.app.url_map.iter_rules()} == {
        '/health', '/ready', '/metrics', '/internal/usage/<name>', '/v1/models', '/v1/models/<model:model>',
        *(f'{base}{path}' for base in ('', '/m/<model:model>')
          for path in ('/v1/completions', '/v1/chat/completions', '/v1/chat/completions/render', '/v1/embeddings',
                       '/tokenize', '/detokenize', '/tokenizer_info'))}


def test_usage_so_far_is_told_before_every_event_to_whoever_asks_for_it() -> None:
    backend = Backend()
    request = {'model': 'org/model', 'prompt': 'Say', 'stream': True}
    plain = backend.client.post('/v1/completions', json=request).data
    told = backend.client.post('/v1/completions', json=request, headers={'X-Sandle-Usage': '1'}).data
    assert b': usage' not in plain
    lines = [line.split()[2:] for line in told.splitlines() if line.startswith(b': usage')]
    assert lines == [[b'2', b'1'], [b'2', b'2'], [b'2', b'2']], 'two prompt ids of the scripted engine'
    assert len(told.split(b'\n\n')) == len(plain.split(b'\n\n')), 'no event is added'


def kept_usage(backend: Backend, name: str) -> tuple[int, object]:
    response = backend.client.get(f'/internal/usage/{name}')
    body = response.get_json()
    return response.status_code, body.get('completion_tokens', body.get('error', {}).get('code'))


def test_usage_of_a_request_can_be_asked_for_after_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a wrapper whose client has left: it has not read the answer, or there was none."""
    monkeypatch.setattr('sandle.accounting.WAIT_S', 0.0)
    backend = Backend([delta('a'), delta('b', reason=STOP), Finished(3, 2, queue_s=0.1)])
    ask = partial(backend.client.post, '/v1/completions', json={'model': 'org/model', 'prompt': 'Say'})
    assert ask(headers={'X-Sandle-Usage': 'whole'}).status_code == 200
    assert kept_usage(backend, 'whole') == (200, 2)
    assert ask(headers={'X-Sandle-Usage': 'gone'},
               environ_overrides={'waitress.client_disconnected': lambda: True}).status_code == 499
    assert kept_usage(backend, 'gone') == (200, 0), 'it was never worked on'
    for name in ('x' * 65, 'another'):
        assert ask(headers={'X-Sandle-Usage': 'x' * 65}).status_code == 200
        assert kept_usage(backend, name) == (404, None)


def test_usage_is_waited_for_and_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('sandle.accounting.MAX_KEPT', 2)
    memory = UsageMemory()
    threading.Timer(0.1, memory.keep, ('late', Finished(1, 1, queue_s=0.0))).start()
    assert memory.find('late', 5.0) == Finished(1, 1)
    for name in 'ab':
        memory.keep(name, Finished(1, 1, queue_s=0.0))
    assert memory.find('late', 0.0) is None and memory.find('a', 0.0) is not None
