"""Puts packages where only one test finds them, once for each version of their requirements.txt.

They are not installed into .venv, so that nothing of the product can come to depend on them or on what they bring
along, and they may bring what does not go together with what is there.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CACHE = Path(__file__).resolve().parents[1] / '.venv'  # which git ignores
TIMEOUT_S = 240


class InstallError(Exception):
    """The packages cannot be installed. The message says why."""


def install(name: str, requirements: Path) -> Path:
    """Returns the folder to be put on the path, where it comes before .venv. Takes up to a minute the first time.

    Raises InstallError.
    """
    version = '.'.join(map(str, sys.version_info[:2]))
    digest = hashlib.sha256(version.encode() + requirements.read_bytes()).hexdigest()[:12]
    folder = CACHE / f'{name}-{digest}'
    if folder.is_dir():
        return folder
    CACHE.mkdir(exist_ok=True)
    for old in CACHE.glob(f'{name}-*'):
        shutil.rmtree(old)
    with tempfile.TemporaryDirectory(dir=CACHE) as unfinished:
        _pip(requirements, Path(unfinished) / 'packages')
        (Path(unfinished) / 'packages').rename(folder)
    return folder


def _pip(requirements: Path, target: Path) -> None:
    command = [sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps',
               '--no-compile', '--only-binary', ':all:', '--target', str(target), '--requirement', str(requirements)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise InstallError(f'pip took more than {TIMEOUT_S} s over {requirements}') from None
    if ended.returncode:
        raise InstallError(f'pip could not install {requirements}: {ended.stderr.strip()[-2000:]}')
