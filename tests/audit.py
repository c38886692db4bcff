"""Asks whether what is locked has known vulnerabilities: `python tests/audit.py pip|npm`, from the repository's root.

The exit status is 0 (none known), 1 (some) or 77 when the data that tell it cannot be had. pip-audit says that nothing
was found when it could not look, so what the tools report is read here package by package.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
APART = {ROOT / 'tests/clients/litellm/requirements.txt'}
"""Locks of environments of their own: what is in them need not agree with the others."""

SKIPPED = 77
TIMEOUT_S = 300


@dataclass
class Findings:
    """What a tool has found out. With nothing audited, its data could not be had."""

    audited: int = 0
    vulnerable: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # packages that the tool could not look up, and why

    def __add__(self, other: 'Findings') -> 'Findings':
        return Findings(self.audited + other.audited, self.vulnerable + other.vulnerable, self.unknown + other.unknown)


def of_pip_audit(report: str) -> Findings:
    """Reads pip-audit's JSON report."""
    findings = Findings()
    for package in json.loads(report)['dependencies']:
        if 'skip_reason' in package:
            findings.unknown.append(package['skip_reason'])
            continue
        findings.audited += 1
        for one in package['vulns']:
            fixed = ', '.join(one['fix_versions']) or 'no version'
            findings.vulnerable.append(f'{package["name"]} {package["version"]}: {one["id"]}, fixed in {fixed}')
    return findings


def of_npm_audit(report: str) -> Findings:
    """Reads npm's JSON report."""
    answer = json.loads(report)
    if 'metadata' not in answer:
        return Findings(unknown=[answer.get('message') or json.dumps(answer)[:300]])
    vulnerable = [f'{name} {each["range"]}: {each["severity"]}' for name, each in answer['vulnerabilities'].items()]
    return Findings(answer['metadata']['dependencies']['total'], vulnerable)


def run_pip_audit() -> Findings:
    """Audits every lock, and PyTorch, which is pinned without hashes."""
    together = [lock for lock in ROOT.glob('*/**/requirements*.txt') if lock.with_suffix('.in').exists()
                and lock not in APART]
    torch = (ROOT / 'backend-hf/requirements-torch.in').read_text('utf-8')
    # pip-audit wants each package once: the locks of one environment agree on versions.
    return sum((_audit_together([lock]) for lock in APART), _audit_together(together, torch))


def _audit_together(locks: Sequence[Path], more: str = '') -> Findings:
    packages = {line.split()[0] for lock in locks for line in lock.read_text('utf-8').splitlines()
                if re.match(r'\w', line)}
    with tempfile.NamedTemporaryFile('w', suffix='.txt', encoding='utf-8') as everything:
        everything.write('\n'.join([*sorted(packages), more]))
        everything.flush()
        return of_pip_audit(_run([str(Path(sys.executable).with_name('pip-audit')), '--format', 'json', '--disable-pip',
                                  '--no-deps', '--progress-spinner', 'off', '--requirement', everything.name]))


def run_npm_audit() -> Findings:
    """Audits the page's lock."""
    return of_npm_audit(_run(['npm', 'audit', '--json', '--prefix', str(ROOT / 'demo')]))


def status_of(findings: Findings) -> int:
    """Prints what was found and returns the exit status."""
    for line in findings.vulnerable:
        print(f'vulnerable: {line}')
    for line in findings.unknown:
        print(f'not audited: {line}')
    if findings.vulnerable:
        return 1
    if not findings.audited:
        print('skipped: NOT AUDITED, the data on vulnerabilities cannot be had here')
        return SKIPPED
    print(f'no known vulnerability in {findings.audited} packages; {len(findings.unknown)} could not be looked up')
    return 1 if findings.unknown else 0


def _run(command: list[str]) -> str:
    # Both tools exit with 1 for what they find, and say on standard output what it is.
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=ROOT)
    if not done.stdout.startswith('{'):
        last = done.stderr.strip().splitlines()[-1:] or [f'{command[0]} exited with {done.returncode}']
        return json.dumps({'dependencies': [{'name': '', 'skip_reason': last[0]}], 'message': last[0]})
    return done.stdout


RUNNERS: dict[str, Callable[[], Findings]] = {'pip': run_pip_audit, 'npm': run_npm_audit}

if __name__ == '__main__':
    sys.exit(status_of(RUNNERS[sys.argv[1]]()))
