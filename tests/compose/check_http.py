"""Checks a running compose stack from outside, through nginx: `python3 -m tests.compose.check_http URL BACKEND`.

The backend is stub, hf, llama or ct2. The key is in SANDLE_AUTH_TOKEN; COMPOSE is the command that reads the backend's
log. Standard library only, so that any Python runs it.
"""

import base64
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from functools import partial
from typing import Any

from tests.compose.checks import run_all

CAPITAL = 'Q: What is the capital of France?\nA:'
STORY = 'Once upon a time'


class Stack:
    """The stack under test, and what its backend is expected to say."""

    def __init__(self, url: str, backend: str, key: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self.address = parts.netloc
        self.is_tls = parts.scheme == 'https'
        self.backend = backend
        self.key = key
        self.model = ''

    def connect(self) -> http.client.HTTPConnection:
        """Returns a new connection. With TLS the certificate is that of a stopgap, and is not looked at."""
        if not self.is_tls:
            return http.client.HTTPConnection(self.address, timeout=120)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(self.address, timeout=120, context=context)

    def open(self, method: str, path: str, body: object = None, key: str | None = None, **headers: str
             ) -> http.client.HTTPResponse:
        """Sends a request on a connection of its own. An empty `key` means none at all."""
        key = self.key if key is None else key
        if key:
            headers.setdefault('Authorization', f'Bearer {key}')
        if body is not None:
            headers['Content-Type'] = 'application/json'
        connection = self.connect()
        connection.request(method, path, None if body is None else json.dumps(body),
                           {name.replace('_', '-'): value for name, value in headers.items()})
        return connection.getresponse()

    def json(self, method: str, path: str, body: object = None, key: str | None = None, status: int = 200,
             **headers: str) -> Any:
        """Sends a request and returns the JSON it is answered with, which must come with `status`."""
        with self.open(method, path, body, key, **headers) as response:
            content = response.read()
            assert response.status == status, f'{response.status} instead of {status}: {content[:300]!r}'
            kind = response.headers['Content-Type']
            assert kind.startswith('application/json'), f'{kind} instead of JSON: {content[:300]!r}'
            assert response.headers['x-request-id'], 'no x-request-id'
            return json.loads(content)

    def complete(self, prompt: str, **fields: object) -> dict[str, object]:
        """Returns the body of a completion request."""
        return {'model': self.model, 'prompt': prompt, **fields}


def events(response: http.client.HTTPResponse) -> Iterator[tuple[float, str]]:
    """Yields each event's data with the time at which it came, in seconds."""
    while line := response.readline():
        if line.startswith(b'data: '):
            yield time.monotonic(), line[6:].decode().rstrip('\n')


def check_page(stack: Stack) -> None:
    with stack.open('GET', '/', key='') as response:
        page = response.read().decode()
        assert response.status == 200 and response.headers['Content-Type'].startswith('text/html')
        policy = response.headers['Content-Security-Policy']
        assert policy and 'unsafe-' not in policy, f'Content-Security-Policy: {policy}'
    assets = re.findall(r'(?:src|href)="(/[^"]+\.(?:js|css))"', page)
    assert assets, 'the page names no script or style'
    for asset in assets:
        with stack.open('GET', asset, key='') as response:
            assert response.status == 200 and response.read(), asset


def check_docs(stack: Stack) -> None:
    for path in ('/docs/', '/docs/swagger.yaml'):
        with stack.open('GET', path, key='') as response:
            assert response.status == 200 and response.read(), f'{path}: {response.status}'


def check_models(stack: Stack) -> None:
    basic = base64.b64encode(f':{stack.key}'.encode()).decode()
    for scheme in (f'Bearer {stack.key}', f'Basic {basic}'):
        models = stack.json('GET', '/v1/models', Authorization=scheme)['data']
        ids = [model['id'] for model in models]
        assert ids, 'no models'
    stack.model = 'sandle-tiny' if stack.backend == 'hf' else ids[0]
    assert stack.model in ids, ids
    assert stack.json('GET', f'/v1/models/{urllib.parse.quote(stack.model, safe="")}')['id'] == stack.model


def check_completion(stack: Stack) -> None:
    body = stack.complete(CAPITAL, temperature=0, max_tokens=8)
    completion = stack.json('POST', '/v1/completions', body)
    text = completion['choices'][0]['text']
    assert ('Paris' if stack.backend != 'stub' else ' world!') in text, text
    assert completion['usage']['prompt_tokens'] > 0 and completion['usage']['completion_tokens'] > 0


def check_stream(stack: Stack) -> None:
    # Long enough: the embedded model takes a millisecond for a token, and several may come in one packet.
    body = stack.complete(STORY, temperature=0.7, max_tokens=600, ignore_eos=True, stream=True)
    with stack.open('POST', '/v1/completions', body) as response:
        assert response.status == 200 and response.headers['Content-Type'].startswith('text/event-stream')
        came = list(events(response))
    assert came[-1][1] == '[DONE]', came[-1][1]
    text = ''.join(json.loads(data)['choices'][0]['text'] for _, data in came[:-1])
    assert len(came) > 6 and text.strip(), f'{len(came)} events, {text!r}'
    # Buffered on the way, they would come all at once.
    instants = {round(at, 3) for at, _ in came}
    assert len(instants) > 5, f'{len(came)} events came at {len(instants)} instants'
    if stack.backend == 'stub':
        assert came[-1][0] - came[0][0] > 1, 'the stub was told to take 50 ms a token'


def check_keys(stack: Stack) -> None:
    for key in ('', 'wrong', f'{stack.key}x'):
        for method, path, body in (('GET', '/v1/models', None), ('POST', '/v1/completions', stack.complete('a'))):
            error = stack.json(method, path, body, key=key, status=401)['error']
            assert sorted(error) == ['code', 'message', 'param', 'type'] and error['code'] == 'invalid_api_key', error


def check_errors(stack: Stack) -> None:
    assert stack.json('POST', '/v1/completions', stack.complete('a', max_tokens='5'), status=400)['error']['param'] \
        == 'max_tokens'
    unknown = {'model': 'no-such-model', 'prompt': 'a'}
    assert stack.json('POST', '/v1/completions', unknown, status=404)['error']['code'] == 'model_not_found'
    assert 'Invalid URL' in stack.json('GET', '/v1/nowhere', status=404)['error']['message']
    assert stack.json('GET', '/v1/completions', status=405)['error']['message'].startswith('Not allowed to GET')


def check_disconnect(stack: Stack) -> None:
    request_id = f'check-disconnect-{os.getpid()}'
    fields = {'n': 16} if stack.backend != 'stub' else {}
    body = stack.complete(STORY, temperature=0.7, max_tokens=400, stream=True, **fields)
    response = stack.open('POST', '/v1/completions', body, X_Request_Id=request_id)
    next(events(response))
    response.close()
    left_s = time.monotonic()
    while time.monotonic() - left_s < 5:
        log = subprocess.run([*os.environ['COMPOSE'].split(), 'logs', '--no-color', f'backend-{stack.backend}'],
                             capture_output=True, text=True, check=True).stdout
        for line in log.splitlines():
            if request_id in line and (found := re.search(r'reason=(\S+)', line)):
                assert re.search('cancel|client|gone', found[1]), f'the request ended as {found[1]}'
                return
        time.sleep(0.2)  # between two looks
    raise AssertionError('the backend has not noticed within 5 s')


def main() -> int:
    """Runs the checks in an order in which the earlier explain the failures of the later."""
    stack = Stack(sys.argv[1], sys.argv[2], os.environ['SANDLE_AUTH_TOKEN'])
    return run_all((
        ('the page, its parts and its security policy', partial(check_page, stack)),
        ('the docs', partial(check_docs, stack)),
        ('models, with Bearer and with Basic', partial(check_models, stack)),
        ('a completion', partial(check_completion, stack)),
        ('a stream arrives bit by bit', partial(check_stream, stack)),
        ('no key and wrong keys', partial(check_keys, stack)),
        ('errors are JSON from every layer', partial(check_errors, stack)),
        ('a client that leaves frees its slot', partial(check_disconnect, stack)),
        ('still at work', partial(check_completion, stack)),
    ))


if __name__ == '__main__':
    sys.exit(main())
