"""One id from nginx to the backend's last line: every request can be followed through all logs."""

import re
from collections.abc import Callable

import pytest

from tests.end_to_end.rig import KEY, STUB, WRAPPER, Client, Server, wait_for
from tests.end_to_end.web_server import Nginx

COMPLETION = re.compile(
    r"INFO \[(\S+)\] sandle\.generation: completion id=(\S+) model=stub prompt_tokens=(\d+) completion_tokens=(\d+) "
    r'queue_seconds=(\S+) seconds=(\S+) reason=(\S+)\n')


def lines_of(server: Server, request_id: str) -> str:
    """Returns what a server has written about a request."""
    return ''.join(line for line in server.output.splitlines(keepends=True) if f'[{request_id}]' in line)


@pytest.mark.parametrize('stream', [False, True])
def test_id_is_in_every_components_line(stub: Server, wrapper: Server, client: Client, stream: bool) -> None:
    sent = f'my-id.{stream}:1'
    response = client.post('/v1/completions', headers={'x-request-id': sent}, json={
        'model': 'stub', 'prompt': 'Hello, world', 'stream': stream})
    assert response.headers['x-request-id'] == sent
    wait_for(lambda: all(sent in server.output for server in (stub, wrapper)))
    [line] = COMPLETION.findall(lines_of(stub, sent))
    shown = response.text if stream else response.json()['id']
    assert line[0] == sent and line[1] in shown
    assert line[2:4] == ('3', '3') and float(line[4]) == 0 and 0 <= float(line[5]) < 10 and line[6] == 'stop'
    assert 'method=POST path=/v1/completions ' in lines_of(wrapper, sent)
    assert 'Hello' not in stub.output + wrapper.output and KEY not in stub.output


def test_refusals_have_a_line_too(stub: Server, direct: Client) -> None:
    response = direct.post('/v1/completions', json={'model': 'stub', 'max_tokens': 10 ** 9, 'prompt': 'secret'})
    own = response.headers['x-request-id']
    assert re.fullmatch(r'req-[0-9a-f]{24}', own)
    wait_for(lambda: own in stub.output)
    assert 'refused status=400 param=max_tokens reason=context_length_exceeded' in lines_of(stub, own)


@pytest.mark.parametrize('bad', ['two words', 'x' * 129, 'é', 'a"b', '[forged]'])
def test_an_id_that_is_not_sane_is_replaced(client: Client, bad: str) -> None:
    response = client.get('/v1/models', headers={'x-request-id': bad.encode()})
    assert re.fullmatch(r'req-[0-9a-f]{24}', response.headers['x-request-id'])


def test_through_nginx(own: Callable[..., Server], client_of: Callable[..., Client], nginx: Callable[[int], Nginx],
                       ) -> None:
    stub = own(STUB, '--model', 'stub', '--model', 'org/name')
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '--auth-token', KEY)
    client = Client(nginx(wrapper.port).url)
    for sent in ('mine', None):
        response = client.post('/v1/completions', json={'model': 'stub', 'prompt': 'Hello'},
                               headers={} if sent is None else {'x-request-id': sent})
        used = response.headers['x-request-id']
        assert used == sent or sent is None and re.fullmatch(r'[0-9a-f]{32}', used)  # nginx makes its own
        wait_for(lambda: all(used in server.output for server in (stub, wrapper)))
        assert 'reason=stop' in lines_of(stub, used) and 'status=200' in lines_of(wrapper, used)
    for base in ('', '/m/stub', '/m/org/name', '/m/org%2Fname'):
        info = client.get(f'{base}/tokenizer_info', params={} if base else {'model': 'stub'})
        assert info.json()['model'] == ('org/name' if 'org' in base else 'stub')
        body: dict[str, object] = {} if base else {'model': 'stub'}
        assert client.post(f'{base}/tokenize', json={**body, 'prompt': 'Hello'}).json()['count'] == 1
        assert client.post(f'{base}/detokenize', json={**body, 'tokens': [256]}).json() == {'prompt': '<|endoftext|>'}
        assert client.post(f'{base}/v1/completions', json={**body, 'prompt': 'a'}).status_code == 200
    assert client.get('/metrics').status_code == 404 and 'sandle_' not in client.get('/metrics').text
    assert 'sandle_requests_total' in Client(stub.url, key=None).get('/metrics').text
    assert Client(nginx(wrapper.port).url, key=None).get('/m/stub/tokenizer_info').status_code == 401
