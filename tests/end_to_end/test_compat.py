"""Old clients' addresses, on a wrapper with --compat behind the page's nginx."""

import json
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.end_to_end.rig import KEY, WRAPPER, Client, Server, error_of, serve, wait_for
from tests.end_to_end.web_server import Nginx


@pytest.fixture(scope='module')
def old(stub: Server) -> Iterator[Server]:
    """A wrapper with --compat in front of the stub."""
    with serve(WRAPPER, '--backend-stub', stub.url, '--auth-token', KEY, environment={'SANDLE_COMPAT': '1'}) as server:
        wait_for(lambda: requests.get(f'{server.url}/ready', timeout=10).status_code == 200)
        yield server


def test_each_address_leads_there(old: Server, nginx: Callable[[int], Nginx]) -> None:
    url = nginx(old.port).url
    with_key = url.replace('http://', f'http://:{KEY}@')  # which is all that some of them can be told
    generated = requests.post(f'{with_key}/m/stub/generate', json={'prompt': 'Hello'}, timeout=30)
    assert generated.json() == ' world!' and generated.headers['Content-Type'] == 'application/json'
    asked = requests.post(f'{with_key}/agenerate', json={'prompt': 'Hello', 'model': 'stub'}, timeout=30)
    assert asked.text.replace('\n\n', '').replace('data: ', '') == ' world!' and asked.text.startswith('data:  w')
    assert asked.headers['Content-Type'].startswith('text/event-stream')
    completion = requests.post(f'{with_key}/completions', json={'model': 'stub', 'prompt': 'Hello'}, timeout=30)
    assert completion.json()['choices'][0]['text'] == ' world!'


def test_failing_stream_ends_with_an_error(old: Server, client_of: Callable[[Server], Client]) -> None:
    text = client_of(old).post('/agenerate', json={'prompt': '!fault tokens=9 cut-after=2', 'model': 'stub'}).text
    assert json.loads(text.partition('event: error\ndata: ')[2])['error']['code'] == 'backend_lost'


@pytest.mark.parametrize('path', ['/completions', '/chat/completions', '/embeddings', '/generate', '/agenerate'])
def test_without_the_option_there_are_none(wrapper: Server, nginx: Callable[[int], Nginx],
                                           client_of: Callable[[Nginx], Client], path: str) -> None:
    response = client_of(nginx(wrapper.port)).post(path, json={'model': 'stub', 'prompt': 'Hello'})
    assert response.status_code == 404 and error_of(response)['message'] == f'Invalid URL (POST {path})'
