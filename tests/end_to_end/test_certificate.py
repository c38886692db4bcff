"""certbot beside nginx: it obtains a certificate, renews it, and goes on when it cannot."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.authority import PROGRAMS, run_authority
from tests.end_to_end.https_server import run_certbot, run_https_nginx
from tests.end_to_end.rig import Server, wait_for
from tests.end_to_end.web_server import PROGRAM, free_port

pytestmark = pytest.mark.skipif(PROGRAM is None, reason='nginx was not found')
TIMEOUT_S = 60.0  # certbot takes seconds to start on a busy machine


@pytest.mark.skipif(None in PROGRAMS, reason='pebble was not found (on Debian: apt-get install pebble)')
def test_certificate_is_obtained_and_renewed(wrapper: Server, tmp_path: Path) -> None:
    certbot, served = tmp_path / 'certbot', tmp_path / 'nginx'
    served.mkdir()
    with run_https_nginx(served, wrapper.port) as nginx, run_authority(tmp_path, nginx.plain_port) as authority:
        assert not nginx.is_trusted(authority.root)
        with run_certbot(nginx, certbot, authority.environment):
            wait_for(lambda: nginx.is_trusted(authority.root), TIMEOUT_S)
        first = nginx.fingerprint()
        # As if it were about to expire.
        (renewal,) = certbot.glob('*/config/renewal/*.conf')
        renewal.write_text(f'renew_before_expiry = 3650 days\n{renewal.read_text()}')
        with run_certbot(nginx, certbot, authority.environment):
            wait_for(lambda: nginx.fingerprint() != first, TIMEOUT_S)
        assert nginx.is_trusted(authority.root)
        assert nginx.certificate.stat().st_mode & 0o77 == 0  # nobody else reads the key
        assert not any(path.is_file() for path in nginx.challenges.rglob('*'))
        (tmp_path / 'other').mkdir()
        with (run_authority(tmp_path / 'other', nginx.plain_port) as other,
              run_certbot(nginx, certbot, other.environment)):
            wait_for(lambda: nginx.is_trusted(other.root), TIMEOUT_S)  # though the first one's has not expired


def test_it_tries_again_when_the_authority_cannot_be_reached(wrapper: Server, tmp_path: Path,
                                                             capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'nginx').mkdir()
    tries = 0

    def has_tried(times: int) -> bool:
        nonlocal tries
        tries += capfd.readouterr().err.count('no certificate of sandle.test; the next try is in ')
        return tries >= times

    with run_https_nginx(tmp_path / 'nginx', wrapper.port) as nginx:
        nowhere = {'SANDLE_ACME_SERVER': f'https://127.0.0.1:{free_port()}/dir', 'SANDLE_CERTIFICATE_RETRY_S': '1'}
        with run_certbot(nginx, tmp_path / 'certbot', nowhere) as certbot:
            wait_for(lambda: has_tried(2), TIMEOUT_S)
            certbot.send_signal(signal.SIGTERM)
            assert certbot.wait(TIMEOUT_S) == 0
        assert not nginx.certificate.exists() and nginx.process.poll() is None


def test_it_wants_a_domain(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / 'certificates/keep-certificate.bash'
    done = subprocess.run(['bash', str(script)], env={}, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and 'SANDLE_DOMAIN' in done.stderr
