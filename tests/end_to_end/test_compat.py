"""Old clients' addresses, on a wrapper with --compat behind the page's nginx."""

import json
from collections.abc import Callable, Iterator

import openai
import pytest
import requests

from tests.end_to_end.rig import KEY, STUB, WRAPPER, Client, Server, error_of, serve, wait_for
from tests.end_to_end.web_server import Nginx


@pytest.fixture(scope='module')
def old() -> Iterator[Server]:
    """A wrapper with --compat in front of a stub that has a model of each kind."""
    with (serve(STUB, '--faults', '--model', 'stub', '--embedding-model', 'finder') as stub,
          serve(WRAPPER, '--backend-stub', stub.url, '-t', KEY, environment={'SANDLE_COMPAT': '1'}) as server):
        wait_for(lambda: requests.get(f'{server.url}/ready', timeout=10).status_code == 200)
        yield server


def test_each_address_leads_there(old: Server, nginx: Callable[[int], Nginx]) -> None:
    url = nginx(old.port).url
    with_key = url.replace('http://', f'http://:{KEY}@')  # which is all that some of them can be told
    generated = requests.post(f'{with_key}/generate', json={'prompt': 'Hello'}, timeout=30)
    assert generated.json() == ' world!' and generated.headers['Content-Type'] == 'application/json'
    asked = requests.post(f'{with_key}/m/stub/agenerate', json={'prompt': 'Hello'}, timeout=30)
    assert asked.text.replace('\n\n', '').replace('data: ', '') == ' world!' and asked.text.startswith('data:  w')
    assert asked.headers['Content-Type'].startswith('text/event-stream')
    completion = requests.post(f'{with_key}/completions', json={'model': 'stub', 'prompt': 'Hello'}, timeout=30)
    assert completion.json()['choices'][0]['text'] == ' world!'
    vector = requests.post(f'{with_key}/embeddings', json={'text': 'Hello'}, timeout=30).json()
    assert len(vector) == 64 and all(isinstance(number, float) for number in vector)


def test_openai_client_without_v1(old: Server) -> None:
    with openai.OpenAI(base_url=old.url, api_key=KEY, max_retries=0) as api:
        assert api.completions.create(model='stub', prompt='Hello').choices[0].text == ' world!'
        message = api.chat.completions.create(model='stub', messages=[{'role': 'user', 'content': 'Hello'}])
        assert message.choices[0].message.content
        assert len(api.embeddings.create(model='finder', input='Hello').data[0].embedding) == 64


def test_failing_stream_ends_with_an_error(old: Server, client_of: Callable[[Server], Client]) -> None:
    text = client_of(old).post('/agenerate', json={'prompt': '!fault tokens=9 cut-after=2', 'model': 'stub'}).text
    assert json.loads(text.partition('event: error\ndata: ')[2])['error']['code'] == 'backend_lost'


@pytest.mark.parametrize('path', ['/completions', '/chat/completions', '/embeddings', '/generate', '/agenerate'])
def test_without_the_option_there_are_none(wrapper: Server, nginx: Callable[[int], Nginx],
                                           client_of: Callable[[Nginx], Client], path: str) -> None:
    response = client_of(nginx(wrapper.port)).post(path, json={'model': 'stub', 'prompt': 'Hello'})
    assert response.status_code == 404 and error_of(response)['message'] == f'Invalid URL (POST {path})'
