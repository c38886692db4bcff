"""Keys from the command line, the environment, a file and of the wrapper's own making."""

import base64
import re
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.end_to_end.rig import KEY, WRAPPER, Client, Server, error_of, fails_to_start, manage_keys, wait_for

Own = Callable[..., Server]
ClientOf = Callable[..., Client]
SANDLE_TOKEN = 'q83vASNFZ4mrze8BI0VniQ=='


def test_bearer_and_basic(wrapper: Server) -> None:
    good = [f'Bearer {KEY}', 'Basic ' + base64.b64encode(f':{KEY}'.encode()).decode()]
    bad = ['', 'Bearer wrong', 'Basic ' + base64.b64encode(f'{KEY}:'.encode()).decode()]
    for header in good + bad:
        response = requests.get(f'{wrapper.url}/v1/models', headers={'Authorization': header}, timeout=5)
        assert response.status_code == (200 if header in good else 401)
        assert 'WWW-Authenticate' not in response.headers
        if header in bad:
            assert error_of(response)['code'] == 'invalid_api_key'


def test_several_keys_and_the_originals_kind(own: Own, client_of: ClientOf, stub: Server) -> None:
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '-t', SANDLE_TOKEN,
                  environment={'SANDLE_AUTH_TOKEN': 'not-this-one'})
    assert client_of(wrapper, SANDLE_TOKEN).get('/v1/models').status_code == 200
    assert client_of(wrapper, 'not-this-one').get('/v1/models').status_code == 401  # the command line goes first
    wrapper = own(WRAPPER, '--backend-stub', stub.url, environment={'SANDLE_AUTH_TOKEN': f'one {SANDLE_TOKEN}'})
    for key in ('one', SANDLE_TOKEN):
        assert client_of(wrapper, key).get('/v1/models').status_code == 200


def test_key_file_is_followed(own: Own, client_of: ClientOf, stub: Server, tmp_path: Path) -> None:
    path = tmp_path / 'keys.txt'
    path.write_text('# ours\nfirst\n\nsecond\n')
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '-f', str(path))

    def is_good(key: str) -> bool:
        return client_of(wrapper, key).get('/v1/models').status_code == 200

    assert is_good('first') and is_good('second') and not is_good('# ours') and not is_good('ours')
    assert 'line 3 of the key file is blank' in wrapper.output
    path.write_text('second\nthird\n')
    wait_for(lambda: is_good('third'), 2.5)
    assert not is_good('first')
    path.write_text('fourth\nno such key\n')
    wait_for(lambda: 'refused' in wrapper.output, 2.5)
    assert is_good('third') and not is_good('fourth')
    assert 'first' not in wrapper.output and 'such' not in wrapper.output


def test_keys_of_the_store_are_made_rotated_and_revoked_while_the_wrapper_runs(
        own: Own, client_of: ClientOf, stub: Server, tmp_path: Path) -> None:
    first = manage_keys(tmp_path, 'create', '--name', 'alice', '--models', 'stub')
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '--state-dir', str(tmp_path), '--keys-reload-s', '0.2')
    assert 'Generated API key' not in wrapper.output, 'there is a key already'

    def is_good(key: str) -> bool:
        return client_of(wrapper, key).get('/v1/models').status_code == 200

    under_way = client_of(wrapper, first).complete(stream=True, max_tokens=50, prompt='!fault delay=0.05')
    second = manage_keys(tmp_path, 'rotate', 'alice')
    wait_for(lambda: is_good(second) and not is_good(first), 5.0)
    assert under_way.text.endswith('data: [DONE]\n\n'), 'an answer that has begun is not cut'
    assert [model['id'] for model in client_of(wrapper, second).get('/v1/models').json()['data']] == ['stub']
    assert re.search(r'^alice +active .* stub ', manage_keys(tmp_path, 'list'), re.M)
    manage_keys(tmp_path, 'revoke', 'alice')
    wait_for(lambda: not is_good(second), 5.0)
    assert 'key=alice' in wrapper.output and not any(key in wrapper.output for key in (first, second))


def test_keys_command_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    manage_keys(tmp_path, 'create', '--name', 'alice')
    for arguments, said in ((('create', '--name', 'alice'), 'alice already'), (('revoke', 'bob'), 'no key named bob'),
                            (('create', '--name', 'c', '--expires', 'soon'), "'soon' is not a time span"),
                            (('create', '--name', 'c', '--expires', '2001-01-01'), 'is over')):
        message = fails_to_start(WRAPPER, 'keys', *arguments, '--state-dir', str(tmp_path)).splitlines()[-1]
        assert message.startswith('Error: ') and said in message


def test_generated_key_is_shown_once_and_kept(own: Own, client_of: ClientOf, stub: Server, tmp_path: Path) -> None:
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '--state-dir', str(tmp_path / 'state'))
    [key] = set(re.findall(r'sk-[A-Za-z0-9]{8}-[A-Za-z0-9_-]{43}', wrapper.output))
    assert client_of(wrapper, key).complete().status_code == 200
    assert wrapper.output.count(key) == 1
    path = tmp_path / 'state/generated-key'
    assert path.read_text().strip() == key and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert wrapper.stop(signal.SIGTERM) == 0
    again = own(WRAPPER, '--backend-stub', stub.url, '--state-dir', str(tmp_path / 'state'))
    assert client_of(again, key).get('/v1/models').status_code == 200
    assert key not in again.output and str(path) in again.output


@pytest.mark.parametrize('arguments, environment, names', [
    (('-t', ''), {}, 'key'), ((), {'SANDLE_AUTH_TOKEN': ''}, 'SANDLE_AUTH_TOKEN'),
    ((), {'SANDLE_AUTH_TOKEN': '  '}, 'SANDLE_AUTH_TOKEN'), (('-t', 'clé'), {}, 'ASCII'), (('-t', 'a b'), {}, 'spaces'),
    (('-f', '/nowhere'), {}, '/nowhere'), (('--backend', 'nonsense'), {}, 'nonsense'),
    (('--port', '99999999'), {}, 'port'), (('--page-dir', '/dev'), {}, '--page-dir')])
def test_bad_option_stops_the_start(arguments: tuple[str, ...], environment: dict[str, str], names: str) -> None:
    said = fails_to_start(WRAPPER, '--backend-stub', 'http://127.0.0.1:9', *arguments, environment=environment)
    assert names in said.splitlines()[-1] and said.splitlines()[-1].startswith('Error: ')
    assert 'Traceback' not in said


def test_wrapper_without_a_backend_stops() -> None:
    assert 'No backend' in fails_to_start(WRAPPER)


def test_key_id_and_not_the_key_is_the_user(own: Own, client_of: ClientOf, stub: Server) -> None:
    wrapper = own(WRAPPER, '--backend-stub', stub.url, '-t', KEY, '-u', '-l', 'DEBUG')
    assert client_of(wrapper).complete(user='someone').status_code == 200
    assert KEY not in wrapper.output and KEY not in stub.output


def test_one_model_alone(own: Own, client_of: ClientOf, stub: Server) -> None:
    client = client_of(own(WRAPPER, '--backend-stub', stub.url, '-t', KEY, '--allow-model', 'org/name'))
    assert [model['id'] for model in client.get('/v1/models').json()['data']] == ['org/name']
    refused = client.complete()
    assert refused.status_code == 404 and error_of(refused)['code'] == 'model_not_found'
