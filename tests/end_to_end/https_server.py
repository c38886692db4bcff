"""nginx with TLS and certbot beside it, by the scripts that docker-compose.https.yml runs, but without Docker."""

import contextlib
import hashlib
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import requests

from tests.end_to_end.rig import ROOT, wait_for
from tests.end_to_end.web_server import FOLDER, configure, free_port, is_open

DOMAIN = 'sandle.test'


class HttpsNginx:
    """An nginx that runs with TLS, and the folders that it shares with certbot."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int, plain_port: int) -> None:
        self.certificate = folder / 'certificates/site.pem'
        self.challenges = folder / 'challenges'
        self.log = folder / 'log'
        self.process = process
        self.port = port
        self.plain_port = plain_port

    def fingerprint(self) -> str:
        """Returns the SHA-256 of the certificate that a new connection gets."""
        with self.handshake(unchecking()) as tls:
            return hashlib.sha256(tls.getpeercert(binary_form=True) or b'').hexdigest()

    def is_trusted(self, root: Path) -> bool:
        """Whether a client that trusts this authority only accepts the certificate for the domain."""
        context = ssl.create_default_context(cafile=str(root))
        with contextlib.suppress(ssl.SSLCertVerificationError), self.handshake(context):
            return True
        return False

    @contextlib.contextmanager
    def handshake(self, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
        """Connects. Raises SSLError."""
        with (socket.create_connection(('127.0.0.1', self.port), timeout=10) as sock,
              context.wrap_socket(sock, server_hostname=DOMAIN) as tls):
            yield tls

    def curl(self, path: str, *options: str) -> list[str]:
        """Returns a curl command for an address of the domain, over HTTP/2 and whatever the certificate is."""
        return ['curl', '--silent', '--show-error', '--insecure', '--http2', '--no-buffer', '--max-time', '60',
                '--resolve', f'{DOMAIN}:{self.port}:127.0.0.1', *options, f'https://{DOMAIN}:{self.port}{path}']


@contextlib.contextmanager
def run_https_nginx(folder: Path, upstream_port: int) -> Iterator[HttpsNginx]:
    """Runs nginx with TLS in front of a wrapper."""
    port, plain_port = free_port(), free_port()
    (folder / 'certificates').mkdir(exist_ok=True)
    (folder / 'challenges').mkdir()
    environment = {
        'SANDLE_DOMAIN': DOMAIN, 'SANDLE_HTTPS_PORT': str(port), 'SANDLE_PLAIN_LISTEN': f'127.0.0.1:{plain_port}',
        'SANDLE_CERTIFICATES_DIR': str(folder / 'certificates'), 'SANDLE_CHALLENGE_DIR': str(folder / 'challenges'),
        'SANDLE_TLS_DIR': str(folder / 'tls'), 'SANDLE_NGINX_CONF_DIR': str(folder / 'conf.d'),
        'SANDLE_CERTIFICATE_CHECK_S': '0.1'}
    nginx = configure(folder, f'127.0.0.1:{port} ssl http2', upstream_port)
    with (folder / 'log').open('wb') as log, subprocess.Popen(
            ['sh', str(FOLDER / 'with-certificate.sh'), *nginx], env={**os.environ, **environment}, stderr=log
    ) as process:
        try:
            wait_for(lambda: is_open(port) and is_open(plain_port), timeout_s=20)
            yield HttpsNginx(folder, process, port, plain_port)
        finally:
            process.terminate()


@contextlib.contextmanager
def run_certbot(nginx: HttpsNginx, folder: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs certbot beside nginx."""
    settings = {
        'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}', 'SANDLE_DOMAIN': DOMAIN,
        'SANDLE_CERTBOT_DIR': str(folder), 'SANDLE_CHALLENGE_DIR': str(nginx.challenges),
        'SANDLE_CERTIFICATES_DIR': str(nginx.certificate.parent)}
    command = ['bash', str(ROOT / 'certificates/keep-certificate.bash')]
    with subprocess.Popen(command, env={**os.environ, **settings, **environment}) as process:
        try:
            yield process
        finally:
            process.terminate()


def unchecking() -> ssl.SSLContext:
    """Returns a client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def make_certificate(file: Path, names: str = f'DNS:{DOMAIN}') -> None:
    """Writes a self-signed certificate and its key into one file."""
    key, certificate = file.with_suffix('.key'), file.with_suffix('.crt')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
                    '-days', '2', '-subj', '/CN=test', '-addext', f'subjectAltName={names}', '-keyout', str(key),
                    '-out', str(certificate)], check=True, capture_output=True)
    whole = file.with_suffix('.new')
    whole.write_bytes(certificate.read_bytes() + key.read_bytes())
    whole.rename(file)


def plain(nginx: HttpsNginx, method: str, path: str) -> requests.Response:
    """Asks the server without TLS, and follows no redirect."""
    return requests.request(method, f'http://127.0.0.1:{nginx.plain_port}{path}', timeout=10, allow_redirects=False)
