"""demo's nginx without Docker: its template filled in as the image's entrypoint does, in a folder of the test's own."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.end_to_end.rig import ROOT, wait_for

TEMPLATE = ROOT / 'demo/nginx/default.conf.template'
PROGRAM = shutil.which('nginx', path=os.environ.get('PATH', '') + ':/usr/sbin:/usr/local/sbin:/sbin')
TEMPORARY = ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi')


class Nginx:
    """An nginx that runs."""

    def __init__(self, url: str) -> None:
        self.url = url


@contextlib.contextmanager
def run_nginx(folder: Path, upstream_port: int) -> Iterator[Nginx]:
    """Runs nginx in front of a wrapper, with an empty page."""
    assert PROGRAM is not None
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    values = {'SANDLE_LISTEN': f'127.0.0.1:{port}', 'SANDLE_ROOT': str(folder / 'page'),
              'SANDLE_UPSTREAM': f'127.0.0.1:{upstream_port}', 'NGINX_LOCAL_RESOLVERS': '127.0.0.1'}
    text = TEMPLATE.read_text('utf-8')
    for name, value in values.items():
        text = text.replace(f'${{{name}}}', value)
    (folder / 'page').mkdir()
    (folder / 'server.conf').write_text(text, 'utf-8')
    user = 'user root;' if os.geteuid() == 0 else ''
    paths = ' '.join(f'{name}_temp_path {folder}/{name};' for name in TEMPORARY)
    (folder / 'nginx.conf').write_text(
        f'{user} daemon off; error_log stderr warn; pid {folder}/pid; events {{ worker_connections 4096; }}\n'
        f'http {{ access_log off; {paths} include {folder}/server.conf; }}\n', 'utf-8')
    with subprocess.Popen([PROGRAM, '-p', str(folder), '-c', str(folder / 'nginx.conf')]) as process:
        try:
            wait_for(lambda: _is_open(port))
            yield Nginx(f'http://127.0.0.1:{port}')
        finally:
            process.terminate()


def _is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), timeout=1):
        return True
    return False
