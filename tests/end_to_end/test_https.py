"""The page and the API over TLS, with the real nginx and the scripts of docker-compose.https.yml."""

import json
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.https_server import DOMAIN, HttpsNginx, make_certificate, plain, run_https_nginx, unchecking
from tests.end_to_end.rig import KEY, Client, Server, raw, wait_for
from tests.end_to_end.web_server import FOLDER, PROGRAM

pytestmark = pytest.mark.skipif(PROGRAM is None, reason='nginx was not found')


@pytest.fixture(scope='module')
def https(wrapper: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpsNginx]:
    with run_https_nginx(tmp_path_factory.mktemp('https'), wrapper.port) as nginx:
        yield nginx


def completion(nginx: HttpsNginx, prompt: str) -> list[str]:
    body = json.dumps({'model': 'stub', 'prompt': prompt, 'max_tokens': 600, 'stream': True})
    return nginx.curl('/v1/completions', '-u', f':{KEY}', '-H', 'Content-Type: application/json', '-d', body)


def events(stream: subprocess.Popen[bytes]) -> Iterator[bytes]:
    assert stream.stdout is not None
    return (line[6:].strip() for line in stream.stdout if line.startswith(b'data: '))


@pytest.mark.parametrize('method', ['GET', 'POST'])
def test_plain_http_is_sent_on(https: HttpsNginx, method: str) -> None:
    response = plain(https, method, '/v1/models?a=b%2Fc')
    assert response.status_code == 308  # a POST stays a POST
    assert response.headers['Location'] == f'https://{DOMAIN}:{https.port}/v1/models?a=b%2Fc'
    assert 'Strict-Transport-Security' not in response.headers


def test_plain_http_is_sent_to_the_domain_whatever_host_it_names(https: HttpsNginx) -> None:
    answer = raw(https.plain_port, b'GET / HTTP/1.1\r\nHost: elsewhere.test\r\nConnection: close\r\n\r\n')
    assert f'Location: https://{DOMAIN}:{https.port}/\r\n'.encode() in answer


def test_challenge_is_answered_without_tls(https: HttpsNginx) -> None:
    folder = https.challenges / '.well-known/acme-challenge'
    folder.mkdir(parents=True)
    (folder / 'token').write_text('token.thumbprint')
    response = plain(https, 'GET', '/.well-known/acme-challenge/token')
    assert (response.status_code, response.text) == (200, 'token.thumbprint')
    assert plain(https, 'GET', '/.well-known/acme-challenge/other').status_code == 404


def test_answers_are_http2_and_carry_every_header(https: HttpsNginx) -> None:
    command = https.curl('/v1/models', '-u', f':{KEY}', '--include')
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    head, body = done.stdout.replace('\r', '').split('\n\n', 1)
    status, *lines = head.split('\n')
    headers = dict(line.lower().split(': ', 1) for line in lines)
    assert status.startswith('HTTP/2 200') and json.loads(body)['data']
    assert headers['strict-transport-security'] == 'max-age=31536000'
    assert headers['x-content-type-options'] == 'nosniff' and 'content-security-policy' in headers


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_version(https: HttpsNginx, version: ssl.TLSVersion) -> None:
    context = unchecking()
    context.minimum_version = context.maximum_version = version
    with https.handshake(context) as tls:
        assert tls.version() == {'TLSv1_2': 'TLSv1.2', 'TLSv1_3': 'TLSv1.3'}[version.name]
        cipher = tls.cipher()
    assert cipher is not None and re.search('GCM|CHACHA20', cipher[0])


@pytest.mark.filterwarnings('ignore:ssl.TLSVersion.TLSv1_1 is deprecated')  # which is why it is refused
def test_old_tls_is_refused_by_the_server(https: HttpsNginx) -> None:
    context = unchecking()
    context.set_ciphers('DEFAULT@SECLEVEL=0')  # so that the client would
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match='ALERT_PROTOCOL_VERSION'), https.handshake(context):
        pass


def test_plain_request_at_the_tls_port_is_told_so(https: HttpsNginx) -> None:
    answer = raw(https.port, b'GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    head, body = answer.split(b'\r\n\r\n', 1)
    assert head.startswith(b'HTTP/1.1 400') and 'speaks HTTPS' in json.loads(body)['error']['message']


def test_stream_arrives_token_by_token(https: HttpsNginx) -> None:
    def gaps() -> list[float]:
        with subprocess.Popen(completion(https, '!fault tokens=5 delay=0.2'), stdout=subprocess.PIPE) as stream:
            arrivals = [time.monotonic() for event in events(stream) if event.startswith(b'{')]
        return [after - before for before, after in zip(arrivals, arrivals[1:])][:4]

    tries = [gaps() for _ in range(3)]  # a busy machine may hold one up
    assert any(len(each) == 4 and all(0.1 < gap < 0.4 for gap in each) for each in tries), tries


def test_client_that_leaves_frees_its_slot(https: HttpsNginx, direct: Client) -> None:
    def running() -> int:
        count: int = direct.get('/faults').json()['running']
        return count

    wait_for(lambda: running() == 0)
    with subprocess.Popen(completion(https, '!fault tokens=600 delay=0.1'), stdout=subprocess.PIPE) as stream:
        next(events(stream))
        assert running() == 1
        stream.kill()
    assert wait_for(lambda: running() == 0) < 1


def test_new_certificate_is_taken_and_no_stream_is_cut(wrapper: Server, tmp_path: Path) -> None:
    with run_https_nginx(tmp_path, wrapper.port) as nginx:
        stopgap = nginx.fingerprint()
        # Until the new certificate is served, however long that takes here, and a little longer.
        with subprocess.Popen(completion(nginx, '!fault tokens=60 delay=0.1'), stdout=subprocess.PIPE) as stream:
            told = events(stream)
            next(told)
            nginx.certificate.write_text('half a certificate')
            wait_for(lambda: 'does not hold a certificate and its key' in nginx.log.read_text())
            assert nginx.fingerprint() == stopgap
            make_certificate(nginx.certificate)
            wait_for(lambda: nginx.fingerprint() != stopgap)
            assert stream.poll() is None
            rest = list(told)
        assert len(rest) >= 59 and rest[-1] == b'[DONE]'
        assert nginx.log.read_text().count('does not hold') == 1


def test_certificate_that_is_there_at_the_start_is_taken(wrapper: Server, tmp_path: Path) -> None:
    (tmp_path / 'certificates').mkdir()
    make_certificate(tmp_path / 'certificates/site.pem')
    with run_https_nginx(tmp_path, wrapper.port) as nginx:
        assert nginx.is_trusted(tmp_path / 'certificates/site.crt')
        assert 'stopgap' not in nginx.log.read_text()


@pytest.mark.parametrize(('name', 'value'), [
    ('SANDLE_DOMAIN', ''), ('SANDLE_DOMAIN', 'a b'), ('SANDLE_DOMAIN', 'a;b'), ('SANDLE_HTTPS_PORT', '443/tcp')])
def test_wrong_setting_stops_the_start(name: str, value: str) -> None:
    command = ['sh', str(FOLDER / 'with-certificate.sh'), 'echo', 'started']
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env={'SANDLE_DOMAIN': DOMAIN, name: value})
    assert done.returncode == 1 and done.stdout == ''
    (line,) = done.stderr.splitlines()
    assert f"{name} is '{value}'" in line
