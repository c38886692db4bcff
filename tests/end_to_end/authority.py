"""A certificate authority for tests: pebble, Let's Encrypt's own, which really asks nginx for the challenge."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import requests

from tests.end_to_end.https_server import make_certificate
from tests.end_to_end.rig import wait_for
from tests.end_to_end.web_server import free_port, is_open

PROGRAMS = [shutil.which(name) for name in ('pebble', 'pebble-challtestsrv')]  # the latter is a name server for it


class Authority:
    """An authority that runs: what certbot must know of it, and the root of what it signs."""

    def __init__(self, directory: str, own_certificate: Path, root: Path) -> None:
        self.environment = {'SANDLE_ACME_SERVER': directory, 'REQUESTS_CA_BUNDLE': str(own_certificate)}
        self.root = root


@contextlib.contextmanager
def run_authority(folder: Path, http_port: int) -> Iterator[Authority]:
    """Runs an authority for which every name is 127.0.0.1, and port 80 is `http_port`."""
    pebble, name_server = PROGRAMS
    assert pebble is not None and name_server is not None
    port, management_port, names_port = free_port(), free_port(), free_port()
    make_certificate(folder / 'authority.pem', 'IP:127.0.0.1')
    own_certificate = folder / 'authority.crt'
    (folder / 'pebble.json').write_text(json.dumps({'pebble': {
        'listenAddress': f'127.0.0.1:{port}', 'managementListenAddress': f'127.0.0.1:{management_port}',
        'certificate': str(own_certificate), 'privateKey': str(folder / 'authority.key'),
        'httpPort': http_port, 'tlsPort': free_port()}}), 'utf-8')
    names = f'127.0.0.1:{names_port}'
    # Without the random pauses and refusals by which it tries out clients: those of certbot are not ours to test.
    environment = {**os.environ, 'PEBBLE_VA_NOSLEEP': '1', 'PEBBLE_WFE_NONCEREJECT': '0'}
    with contextlib.ExitStack() as stack:
        for command in ([name_server, '-dns01', names, '-http01', '', '-https01', '', '-tlsalpn01', '',
                         '-defaultIPv6', '', '-management', f'127.0.0.1:{free_port()}'],
                        [pebble, '-config', str(folder / 'pebble.json'), '-dnsserver', names]):
            process = stack.enter_context(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
            stack.callback(process.kill)
        wait_for(lambda: is_open(port) and is_open(management_port), timeout_s=20)
        root = folder / 'root.pem'
        root.write_bytes(requests.get(f'https://127.0.0.1:{management_port}/roots/0', verify=str(own_certificate),
                                      timeout=10).content)
        yield Authority(f'https://127.0.0.1:{port}/dir', own_certificate, root)
