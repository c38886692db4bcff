"""The tokenizer through the wrapper, asked as lm-evaluation-harness's remote tokenizer asks."""

import pytest
import requests

from tests.end_to_end.rig import KEY, Client, Server, error_of

END_OF_TEXT = 256


class RemoteTokenizer:
    """What lm-evaluation-harness sends and reads: no model, special tokens by name, ids by encoding those names."""

    def __init__(self, completions_url: str) -> None:
        self._base = completions_url.replace('/v1/completions', '').rstrip('/')
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update({'Content-Type': 'application/json', 'Authorization': f'Bearer {KEY}'})

    def info(self) -> dict[str, object]:
        """GET /tokenizer_info."""
        return self._json(self._session.get(f'{self._base}/tokenizer_info', timeout=30))

    def encode(self, text: str) -> object:
        """POST /tokenize."""
        return self._json(self._session.post(f'{self._base}/tokenize', timeout=30, json={
            'prompt': text, 'add_special_tokens': False}))['tokens']

    def decode(self, tokens: object) -> object:
        """POST /detokenize."""
        return self._json(self._session.post(f'{self._base}/detokenize', json={'tokens': tokens}, timeout=30))['prompt']

    @staticmethod
    def _json(response: requests.Response) -> dict[str, object]:
        response.raise_for_status()
        body: dict[str, object] = response.json()
        return body


@pytest.mark.parametrize('model', ['stub', 'org/name', 'org%2Fname'])
def test_remote_tokenizer_below_the_models_address(wrapper: Server, model: str) -> None:
    tokenizer = RemoteTokenizer(f'{wrapper.url}/m/{model}/v1/completions')
    info = tokenizer.info()
    assert (info['model'], info['bos_token'], info['eos_token']) == (model.replace('%2F', '/'), None, '<|endoftext|>')
    assert tokenizer.encode(str(info['eos_token'])) == [END_OF_TEXT]
    text = 'A text with é, 🙂 and <|endoftext|> in it'
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_completion_below_the_models_address(client: Client) -> None:
    response = client.post('/m/org/name/v1/completions', json={'prompt': 'Hello'})
    assert (response.json()['model'], response.json()['choices'][0]['text']) == ('org/name', ' world!')
    stream = client.post('/m/org%2Fname/v1/completions', json={'prompt': 'Hello', 'stream': True})
    assert stream.content.endswith(b'data: [DONE]\n\n')


def test_errors_have_the_apis_shape(client: Client, direct: Client) -> None:
    for each in (client, direct):
        assert error_of(each.get('/tokenizer_info'))['param'] == 'model'  # there are two
        assert error_of(each.post('/detokenize', json={'model': 'stub', 'tokens': [10 ** 6]}))['param'] == 'tokens'
        assert each.post('/tokenize', json={'model': 'nope', 'prompt': ''}).status_code == 404
        assert each.post('/tokenize', data='x' * (5 * 2 ** 20), headers={
            'Content-Type': 'application/json'}).status_code == 413
        assert each.post('/tokenize', data='{}').status_code == 415
        assert each.get('/m/stub/tokenize').status_code == 405
