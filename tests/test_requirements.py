"""The locks fit what `bash update-requirements.bash` made them from. No package index is asked here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.audit import APART

ROOT = Path(__file__).parents[1]
# sandle/requirements.in has none: nobody installs it alone.
LOCKS = sorted(path.with_suffix('.txt') for path in ROOT.glob('*/**/requirements*.in')
               if path != ROOT / 'sandle/requirements.in')
# PyTorch and the libraries of its CUDA builds, which a lock would bring to every machine.
LEFT_OUT = re.compile(r'torch|triton|cuda-.*|nvidia-.*')


@dataclass(frozen=True)
class Locked:
    """A package of a lock."""

    version: str
    is_asked_for: bool  # by a requirements.in, and not only brought along
    hashes: list[str]


def locked_in(lock: Path) -> dict[str, Locked]:
    """Returns a lock's packages by name."""
    packages: dict[str, Locked] = {}
    for block in re.split(r'^(?=\w)', lock.read_text('utf-8'), flags=re.MULTILINE)[1:]:
        requirement = Requirement(re.split(r' \\\n|\n', block, maxsplit=1)[0])
        (pin,) = requirement.specifier
        assert pin.operator == '=='
        packages[canonicalize_name(requirement.name)] = Locked(
            pin.version, bool(re.search(r'^ +# .*-r \S+\.in$', block, re.MULTILINE)),
            re.findall(r' --hash=sha256:[0-9a-f]{64}\b', block))
    return packages


def asked_for(path: Path) -> Iterator[Requirement]:
    """Yields what a requirements.in names, by way of others, too."""
    for line in path.read_text('utf-8').splitlines():
        if line.startswith('-r '):
            yield from asked_for(path.parent / line[3:])
        elif line and not line.startswith('#'):
            yield Requirement(line)


@pytest.mark.parametrize('lock', LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_lock_fits_its_requirements(lock: Path) -> None:
    packages = locked_in(lock)
    wanted = {canonicalize_name(each.name): each for each in asked_for(lock.with_suffix('.in')) if each.name != 'torch'}
    named = {name for name, package in packages.items() if package.is_asked_for}
    assert named == set(wanted), 'run `bash update-requirements.bash`'
    for name, requirement in wanted.items():
        assert packages[name].version in requirement.specifier, f'{name}: run `bash update-requirements.bash`'


@pytest.mark.parametrize('lock', LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_lock_has_hashes_of_everything_but_torch(lock: Path) -> None:
    packages = locked_in(lock)
    assert [name for name, package in packages.items() if not package.hashes] == []
    assert [name for name in packages if LEFT_OUT.fullmatch(name)] == []


def test_locks_agree() -> None:
    versions: dict[str, set[str]] = {}
    for lock in set(LOCKS) - APART:
        for name, package in locked_in(lock).items():
            versions.setdefault(name, set()).add(package.version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_torch_is_one_version() -> None:
    (torch,) = asked_for(ROOT / 'backend-hf/requirements-torch.in')
    assert [each.operator for each in torch.specifier] == ['==']
