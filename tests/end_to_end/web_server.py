"""demo's nginx without Docker: its template filled in as the image's entrypoint does, in a folder of the test's own."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.end_to_end.rig import ROOT, wait_for

FOLDER = ROOT / 'demo/nginx'
PROGRAM = shutil.which('nginx', path=os.environ.get('PATH', '') + ':/usr/sbin:/usr/local/sbin:/sbin')
TEMPORARY = ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi')


class Nginx:
    """An nginx that runs."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid
        self.url = f'http://127.0.0.1:{port}'


def free_port() -> int:
    """Returns a port that nothing listens on."""
    with socket.create_server(('127.0.0.1', 0)) as free:
        port: int = free.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    """Whether something listens there."""
    with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), timeout=1):
        return True
    return False


def configure(folder: Path, listen: str, upstream_port: int, changes: Mapping[str, str] | None = None) -> list[str]:
    """Fills in the configuration, for an empty page; returns the command that runs nginx with all of conf.d.

    `changes` are made to its text.
    """
    assert PROGRAM is not None
    values = {'SANDLE_LISTEN': listen, 'SANDLE_ROOT': str(folder / 'page'),
              'SANDLE_UPSTREAM': f'127.0.0.1:{upstream_port}', 'NGINX_LOCAL_RESOLVERS': '127.0.0.1'}
    text = (FOLDER / 'default.conf.template').read_text('utf-8')
    for name, value in values.items():
        text = text.replace(f'${{{name}}}', value)
    for before, after in (changes or {}).items():
        assert before in text
        text = text.replace(before, after)
    (folder / 'page').mkdir()
    (folder / 'conf.d').mkdir()
    (folder / 'conf.d/default.conf').write_text(text, 'utf-8')
    user = 'user root;' if os.geteuid() == 0 else ''
    paths = ' '.join(f'{name}_temp_path {folder}/{name};' for name in TEMPORARY)
    (folder / 'nginx.conf').write_text(
        f'{user} daemon off; error_log stderr warn; pid {folder}/pid; events {{ worker_connections 4096; }}\n'
        f'http {{ access_log off; {paths} include {folder}/conf.d/*.conf; }}\n', 'utf-8')
    return [PROGRAM, '-p', str(folder), '-c', str(folder / 'nginx.conf')]


@contextlib.contextmanager
def run_nginx(folder: Path, upstream_port: int, changes: Mapping[str, str] | None = None) -> Iterator[Nginx]:
    """Runs nginx in front of a wrapper. `changes` are made to the text of its configuration."""
    port = free_port()
    with subprocess.Popen(configure(folder, f'127.0.0.1:{port}', upstream_port, changes)) as process:
        try:
            wait_for(lambda: is_open(port))
            yield Nginx(port, process.pid)
        finally:
            process.terminate()
