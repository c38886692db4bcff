"""What the audits make of the tools' reports: a tool that could not look has found nothing, which is no good news."""

import json

import pytest

from tests.audit import SKIPPED, Findings, of_npm_audit, of_pip_audit, status_of

GOOD: dict[str, object] = {'name': 'good', 'version': '1.0', 'vulns': []}
BAD: dict[str, object] = {'name': 'bad', 'version': '1.0', 'vulns': [{'id': 'CVE-1', 'fix_versions': ['1.1']}]}
UNKNOWN: dict[str, object] = {'name': 'unknown', 'skip_reason': 'Dependency not found on PyPI: unknown (1.0)'}


def pip(*packages: dict[str, object]) -> Findings:
    return of_pip_audit(json.dumps({'dependencies': packages, 'fixes': []}))


def npm(**vulnerabilities: object) -> Findings:
    return of_npm_audit(json.dumps({'vulnerabilities': vulnerabilities, 'metadata': {'dependencies': {'total': 9}}}))


@pytest.mark.parametrize(('findings', 'status', 'says'), [
    (pip(GOOD), 0, 'no known vulnerability in 1 packages'),
    (pip(GOOD, BAD, UNKNOWN), 1, 'vulnerable: bad 1.0: CVE-1, fixed in 1.1'),
    (pip(GOOD, UNKNOWN), 1, 'not audited: Dependency not found on PyPI'),
    (pip(UNKNOWN), SKIPPED, 'skipped: NOT AUDITED'),
    (npm(), 0, 'no known vulnerability in 9 packages'),
    (npm(vue={'range': '<3', 'severity': 'high'}), 1, 'vulnerable: vue <3: high'),
    (of_npm_audit(json.dumps({'message': '405 Method Not Allowed', 'error': {}})), SKIPPED, 'not audited: 405'),
])
def test_audit_status(findings: Findings, status: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(findings) == status
    assert says in capsys.readouterr().out
