"""The tokenizer's endpoints over a scripted engine, and which model a request means."""

from typing import Any

import pytest

from sandle import addressing
from sandle import app as http
from sandle import endpoints, errors
from sandle.sampling_request import CompletionLimits
from sandle.engine.engine import Finished, FinishReason, ModelInfo, ModelStatus
from sandle.models import model_object
from tests.scripted_engine import ScriptedEngine, delta, model

HI = [104, 105]


def client_of(*models: ModelInfo) -> Any:
    engine = ScriptedEngine([delta('Hi', reason=FinishReason.STOP), Finished(1, 1)], models=models or (model(),))
    lifecycle = http.Lifecycle()
    app = http.create_app('test', lifecycle)
    endpoints.add_routes(app, engine, lifecycle, CompletionLimits())
    return app.test_client()


def error_of(response: Any) -> dict[str, Any]:
    body = response.get_json()
    assert body.keys() == {'error'} and body['error'].keys() == {'message', 'type', 'param', 'code'}
    error: dict[str, Any] = body['error']
    return error


def test_tokenize_and_back() -> None:
    client = client_of()
    answer = client.post('/tokenize', json={'model': 'org/model', 'prompt': 'hi</s>'}).get_json()
    assert answer == {'tokens': [1, *HI, 2], 'count': 4, 'max_model_len': 128}
    assert client.post('/detokenize', json={'model': 'org/model', 'tokens': answer['tokens']}).get_json() == {
        'prompt': '<s>hi</s>'}
    assert client.post('/tokenize', json={'model': None, 'prompt': 'hi', 'add_special_tokens': False}).get_json() == {
        'tokens': HI, 'count': 2, 'max_model_len': 128}
    assert client.post('/tokenize', json={'prompt': '', 'add_special_tokens': False}).get_json()['tokens'] == []
    assert client.post('/detokenize', json={'tokens': []}).get_json() == {'prompt': ''}


def test_tokenizer_info_has_what_remote_tokenizers_read() -> None:
    assert client_of().get('/tokenizer_info').get_json() == {
        'model': 'org/model', 'tokenizer_class': 'CharacterTokenizer', 'vocab_size': 127, 'model_max_length': 128,
        'bos_token': '<s>', 'eos_token': '</s>', 'pad_token': None, 'unk_token': None,
        'chat_template': '{{ messages }}'}


@pytest.mark.parametrize('name', ['org/model', '/abs/path', 'a', './here', 'a/tokenize', 'ü b', 'a//b', '/m/x'])
@pytest.mark.parametrize('quote', [lambda name: name, lambda name: name.replace('/', '%2F')], ids=['plain', 'encoded'])
def test_the_address_names_the_model(name: str, quote: Any) -> None:
    client = client_of(model(name='other'), model(name=name))
    base = f'/m/{quote(name)}'
    assert client.post(f'{base}/tokenize', json={'prompt': 'hi'}).get_json()['tokens'] == [1, *HI]
    assert client.post(f'{base}/detokenize', json={'tokens': HI}).get_json() == {'prompt': 'hi'}
    assert client.get(f'{base}/tokenizer_info').get_json()['model'] == name
    completion = client.post(f'{base}/v1/completions', json={'prompt': 'x'})
    assert (completion.get_json()['model'], completion.get_json()['choices'][0]['text']) == (name, 'Hi')
    assert client.get(f'/v1/models/{quote(name)}').get_json()['id'] == name
    assert client.get('/tokenizer_info', query_string={'model': name}).get_json()['model'] == name


def test_address_and_body_may_agree_but_not_differ() -> None:
    client = client_of(model(name='a'), model(name='b'))
    assert client.post('/m/a/tokenize', json={'model': 'a', 'prompt': ''}).status_code == 200
    bodies: dict[str, dict[str, object]] = {
        'tokenize': {'prompt': ''}, 'detokenize': {'tokens': []}, 'v1/completions': {}}
    for path, body in bodies.items():
        response = client.post(f'/m/a/{path}', json={'model': 'b', **body})
        assert (response.status_code, error_of(response)['param']) == (400, 'model')


@pytest.mark.parametrize(('path', 'body', 'param'), [
    ('/tokenize', {}, 'prompt'), ('/tokenize', {'prompt': None}, 'prompt'), ('/tokenize', {'prompt': 5}, 'prompt'),
    ('/tokenize', {'prompt': ['a']}, 'prompt'), ('/tokenize', {'prompt': '', 'add_special_tokens': 1},
                                                 'add_special_tokens'),
    ('/tokenize', {'prompt': '', 'model': ''}, 'model'), ('/tokenize', {'prompt': '', 'model': 5}, 'model'),
    ('/detokenize', {}, 'tokens'), ('/detokenize', {'tokens': 'a'}, 'tokens'), ('/detokenize', {'tokens': 5}, 'tokens'),
    ('/detokenize', {'tokens': [-1]}, 'tokens'), ('/detokenize', {'tokens': [127]}, 'tokens'),
    ('/detokenize', {'tokens': [1, 2 ** 63]}, 'tokens'), ('/detokenize', {'tokens': [1.0]}, 'tokens'),
    ('/detokenize', {'tokens': [True]}, 'tokens'), ('/detokenize', {'tokens': [[1]]}, 'tokens'),
    ('/detokenize', {'tokens': ['1']}, 'tokens')])
def test_wrong_fields_are_named(path: str, body: dict[str, object], param: str) -> None:
    response = client_of().post(path, json=body)
    error = error_of(response)
    assert (response.status_code, error['param'], error['type']) == (400, param, 'invalid_request_error')


def test_wording() -> None:
    client = client_of()

    def message(path: str, **body: object) -> str:
        text: str = error_of(client.post(path, json=body))['message']
        return text

    assert message('/tokenize', prompt=5) == 'prompt must be a string.'
    assert message('/tokenize') == 'prompt is required.'
    assert message('/detokenize', tokens=[1, 'a']) == 'tokens[1] must be an integer.'
    assert message('/detokenize', tokens=[1, 127]) == "tokens[1] is 127, but the vocabulary of 'org/model' ends at 126."


@pytest.mark.parametrize(('method', 'path'), [
    ('POST', '/tokenize'), ('POST', '/detokenize'), ('GET', '/tokenizer_info?model=gone'),
    ('GET', '/m/gone/tokenizer_info'), ('POST', '/m/gone/tokenize'), ('POST', '/m/gone/v1/completions')])
def test_an_unknown_model_is_a_404(method: str, path: str) -> None:
    body = {'prompt': '', 'tokens': [1], 'model': None if '/m/' in path else 'gone'}
    response = client_of().open(path, method=method, json=body if method == 'POST' else None)
    assert (response.status_code, error_of(response)['code']) == (404, 'model_not_found')


@pytest.mark.parametrize('path', ['/m/tokenize', '/m//tokenize', '/m', '/m/', '/m/org/model', '/m/a/v1/models'])
def test_other_addresses_lead_nowhere(path: str) -> None:
    response = client_of().get(path)
    assert response.status_code == 404 and 'Invalid URL' in error_of(response)['message']


READY, LOADING, AVAILABLE, ERROR = (ModelStatus.READY, ModelStatus.LOADING, ModelStatus.AVAILABLE, ModelStatus.ERROR)


@pytest.mark.parametrize(('statuses', 'chosen'), [
    ([READY], 0), ([ERROR], 0), ([AVAILABLE], 0), ([AVAILABLE, READY, ERROR], 1), ([AVAILABLE, LOADING, READY], 2),
    ([AVAILABLE, ERROR, LOADING], 2), ([ERROR, AVAILABLE], 1), ([READY, READY], None), ([AVAILABLE] * 2, None),
    ([LOADING, LOADING, AVAILABLE], None), ([ERROR, ERROR], None), ([], None)])
def test_default_model(statuses: list[ModelStatus], chosen: int | None) -> None:
    models = [model_object(model(name=str(place), status=status)) for place, status in enumerate(statuses)]
    if chosen is not None:
        assert addressing.default_model(models) == str(chosen)
        return
    with pytest.raises(errors.InvalidRequestError) as refused:
        addressing.default_model(models)
    assert refused.value.param == 'model'


def test_several_models_need_a_name() -> None:
    client = client_of(model(name='a'), model(name='b'))
    for response in (client.post('/tokenize', json={'prompt': ''}), client.post('/detokenize', json={'tokens': []}),
                     client.get('/tokenizer_info')):
        assert (response.status_code, error_of(response)['param']) == (400, 'model')
