"""Puts lm-evaluation-harness where only its test finds it, once for each version of requirements.txt.

It is not installed into .venv, so that nothing of the product can come to depend on it or on what it brings along.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / 'requirements.txt'
CACHE = Path(__file__).resolve().parents[2] / '.venv'  # which git ignores
TIMEOUT_S = 240


class InstallError(Exception):
    """The harness cannot be installed. The message says why."""


def install() -> Path:
    """Returns the folder to be put on the path. Takes seconds the first time. Raises InstallError."""
    version = '.'.join(map(str, sys.version_info[:2]))
    digest = hashlib.sha256(version.encode() + REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = CACHE / f'lm-eval-{digest}'
    if folder.is_dir():
        return folder
    CACHE.mkdir(exist_ok=True)
    for old in CACHE.glob('lm-eval-*'):
        shutil.rmtree(old)
    with tempfile.TemporaryDirectory(dir=CACHE) as unfinished:
        _pip(Path(unfinished) / 'packages')
        (Path(unfinished) / 'packages').rename(folder)
    return folder


def _pip(target: Path) -> None:
    command = [sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps',
               '--only-binary', ':all:', '--target', str(target), '--requirement', str(REQUIREMENTS)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise InstallError(f'pip took more than {TIMEOUT_S} s over {REQUIREMENTS}') from None
    if ended.returncode:
        raise InstallError(f'pip could not install {REQUIREMENTS}: {ended.stderr.strip()[-2000:]}')
