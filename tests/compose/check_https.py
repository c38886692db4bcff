"""Checks what docker-compose.https.yml adds: `python3 -m tests.compose.check_https URL PLAIN_URL`.

No certificate authority is asked; that certbot obtains a certificate and renews it is tested without Docker. Standard
library only, so that any Python runs it.
"""

import hashlib
import ssl
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.compose.check_http import Stack
from tests.compose.checks import run_all
from tests.compose.containers import containers_of

TAKEN_WITHIN_S = 45  # nginx looks every 30 s


def check_redirect(tls: Stack, plain: Stack) -> None:
    with plain.open('POST', '/v1/completions?a=b', {}, key='') as response:
        assert response.status == 308, response.status
        where = response.headers['Location']
    port = tls.address.partition(':')[2]
    assert where == f'https://sandle.test:{port}/v1/completions?a=b', where
    with tls.open('GET', '/', key='') as response:
        assert response.headers['Strict-Transport-Security'] == 'max-age=31536000'


def check_challenge(plain: Stack) -> None:
    (certbot,) = containers_of('certbot')
    folder = '/var/lib/acme-challenge/.well-known/acme-challenge'
    assert certbot.run(f'mkdir -p {folder} && cat >{folder}/token', given='thumbprint').returncode == 0
    with plain.open('GET', '/.well-known/acme-challenge/token', key='') as response:
        assert (response.status, response.read()) == (200, b'thumbprint')


def fingerprint(tls: Stack) -> str:
    """Returns the SHA-256 of the certificate that a new connection gets."""
    host, _, port = tls.address.partition(':')
    return hashlib.sha256(ssl.get_server_certificate((host, int(port))).encode()).hexdigest()


def check_certificate(tls: Stack) -> None:
    (certbot,), (demo,) = containers_of('certbot'), containers_of('demo')
    before = fingerprint(tls)
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder, 'key'), Path(folder, 'certificate')
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
                        '-nodes', '-subj', '/CN=new', '-keyout', str(key), '-out', str(certificate)],
                       check=True, capture_output=True)
        whole = certificate.read_text() + key.read_text()
    written = certbot.run('umask 077; cd /var/lib/certificates && cat >new && mv new site.pem', given=whole)
    assert written.returncode == 0, written.stderr
    assert demo.run('touch /var/lib/certificates/mine').returncode != 0, 'nginx may write certificates'
    began_s = time.monotonic()
    while fingerprint(tls) == before:
        assert time.monotonic() - began_s < TAKEN_WITHIN_S, 'nginx does not take it'
        time.sleep(0.5)  # between two looks
    print(f'   taken after {time.monotonic() - began_s:.0f} s', flush=True)


def main() -> int:
    """Runs the checks."""
    tls, plain = (Stack(url, 'stub', '') for url in sys.argv[1:3])
    return run_all((
        ('plain HTTP is sent on, with HSTS beyond', partial(check_redirect, tls, plain)),
        ('what certbot leaves for the authority is served', partial(check_challenge, plain)),
        ('a certificate that certbot hands over is taken', partial(check_certificate, tls)),
    ))


if __name__ == '__main__':
    sys.exit(main())
