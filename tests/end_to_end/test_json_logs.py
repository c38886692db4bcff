"""--log-format json: every line of every component is an object, whatever clients send, and secrets are in none."""

import json
from collections.abc import Callable

from tests.end_to_end.rig import KEY, STUB, WRAPPER, Client, Server, wait_for

JSON = {'SANDLE_LOG_FORMAT': 'json'}


def lines_of(server: Server) -> list[dict[str, object]]:
    """Returns the log of a server; fails where a line is no object with what every line has."""
    lines = [json.loads(line) for line in server.output.splitlines()]
    assert all({'time', 'level', 'logger', 'request_id', 'message'} <= line.keys() for line in lines)
    return lines


def line_of(server: Server, request_id: str, message: str) -> dict[str, object]:
    wait_for(lambda: any(line['request_id'] == request_id and line['message'] == message for line in lines_of(server)))
    [line] = [line for line in lines_of(server) if line['request_id'] == request_id and line['message'] == message]
    return line


def test_requests_have_their_fields(own: Callable[..., Server], client_of: Callable[..., Client]) -> None:
    stub = own(STUB, '--faults', environment=JSON)
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '--auth-token', KEY, environment=JSON)
    client = client_of(wrapper)
    done = client.post('/v1/completions', json={'model': 'stub', 'prompt': 'private', 'stream': True},
                       headers={'x-request-id': 'mine'})
    line = line_of(wrapper, 'mine', 'request')
    assert {name: line[name] for name in ('method', 'path', 'model', 'status', 'bytes', 'reason', 'level')} == {
        'method': 'POST', 'path': '/v1/completions', 'model': 'stub', 'status': 200, 'bytes': len(done.content),
        'reason': 'ended', 'level': 'INFO'}
    assert isinstance(line['seconds'], float) and isinstance(line['key'], str)
    behind = line_of(stub, 'mine', 'completion')
    assert behind['reason'] == 'stop' and behind['completion_tokens'] == 3 and str(behind['id']) in done.text

    refused = client.get('/x%0a%7B%22level%22:%22CRITICAL%22%7D', headers={'Authorization': 'Bearer wrong'})
    line = line_of(wrapper, refused.headers['x-request-id'], 'request')
    assert line['path'] == '/x\n{"level":"CRITICAL"}' and line['key'] is None and line['model'] is None
    assert line['reason'] == 'invalid_api_key' and line['status'] == 401

    failed = client.complete('!fault bug')
    assert failed.status_code == 500
    wait_for(lambda: any('exception' in line for line in lines_of(stub)))
    [line] = [line for line in lines_of(stub) if 'exception' in line]
    assert line['level'] == 'ERROR' and str(line['exception']).startswith('Traceback')
    assert not any(secret in server.output for server in (stub, wrapper) for secret in ('private', KEY, 'wrong'))
