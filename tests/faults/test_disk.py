"""A disk that takes nothing more, under the folder where usage is written."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.rig import KEY, WRAPPER, Client, Server, wait_for
from tests.faults.conftest import Stack
from tests.faults.figures import Figures

REQUESTS = 20


def fill(file: Path) -> None:
    """Writes until there is no room left."""
    with contextlib.suppress(OSError), file.open('wb', buffering=0) as open_file:
        while True:
            open_file.write(b'\0' * 4096)
    with pytest.raises(OSError) as refused:
        file.with_name('more').write_bytes(b'\0' * 8192)
    assert refused.value.errno == errno.ENOSPC


def is_writable(client: Client) -> bool:
    """What the metric says."""
    return 'sandle_wrapper_usage_writable 1.0' in client.get('/metrics').text


@pytest.mark.fault('disk full')
def test_disk_full(own: Callable[..., Server], client_of: Callable[..., Client], stack: Stack, tmp_path: Path,
                   figures: Figures) -> None:
    if subprocess.run(['unshare', '--mount', 'true'], capture_output=True, check=False).returncode:
        pytest.skip('a disk cannot be filled: a small one needs a mount namespace, as root')
    wrapper = own(WRAPPER, '--backend', stack.stub.url, '-t', KEY, '--state-dir', str(tmp_path), through=[
        'unshare', '--mount', 'sh', '-c', f'mount -t tmpfs -o size=256k tmpfs {tmp_path} && exec "$@"', 'sh'])
    disk = Path(f'/proc/{wrapper.process.pid}/root{tmp_path}')  # as the wrapper sees it
    client = client_of(wrapper)
    assert client.complete().status_code == 200
    wait_for(lambda: (disk / 'usage.sqlite3').exists() and is_writable(client))
    fill(disk / 'filler')
    served = [client.complete().status_code for _ in range(REQUESTS)]
    figures.exactly(f'{REQUESTS} requests meanwhile: served', served.count(200), REQUESTS)
    figures.below('the log and the metric say so', wait_for(
        lambda: 'usage cannot be written' in wrapper.output and not is_writable(client)), 3.0)
    assert wrapper.output.count('usage cannot be written') == 1
    for name in ('filler', 'more'):
        os.unlink(disk / name)
    figures.below('usage is written again once there is room', wait_for(lambda: is_writable(client)), 3.0)
    [day] = client.get('/v1/usage').json()['data']
    figures.exactly('requests accounted afterwards', day['requests'], REQUESTS + 1)
