"""The audit of the image's packages: what it says of pip-audit's answers, and with what status it ends."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import audit
import pytest

WHOLE = {"name": "a", "version": "1.0", "vulns": []}
SKIPPED = {"name": "b", "skip_reason": "Dependency not found on PyPI and could not be audited: b (2.0)"}
BAD = {
    "name": "c",
    "version": "3.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1", "4.0"], "aliases": [], "description": ""}],
}


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        ([WHOLE], 0, "1 of 1 packages were audited, 0 known vulnerabilities"),
        ([WHOLE, SKIPPED], 0, "1 of 2 packages were audited, 0 known vulnerabilities"),
        ([SKIPPED, SKIPPED], 0, "nothing was audited, of 2 packages: Dependency not found on PyPI"),
        ([], 0, "nothing was audited, of 0 packages"),
        ([WHOLE, BAD, SKIPPED], 1, "c 3.0: PYSEC-1, mended in 3.1, 4.0\n2 of 3 packages were audited, 1 known"),
    ],
)
def test_a_known_vulnerability_fails_and_nothing_audited_is_said(found: list[dict[str, Any]], status: int, said: str):
    ended, text = audit.verdict(found)
    assert ended == status
    assert text.startswith(said)


@pytest.mark.parametrize(
    ("stdout", "stderr", "status", "said"),
    [
        ("", "/usr/bin/python: No module named pip_audit\n", 2, "pip-audit is not installed"),
        ("", "ERROR:pip_audit._cli:failed to connect\n", 0, "nothing was audited: ERROR:pip_audit._cli:failed to"),
        ("", "usage: pip-audit\npip-audit: error: unrecognized arguments: --x\n", 2, "unrecognized arguments"),
        ('{"dependencies": []}', "", 0, "nothing was audited"),
    ],
)
def test_where_pip_audit_gives_no_answer(monkeypatch, stdout, stderr, status, said):
    done = subprocess.CompletedProcess([], 1, stdout, stderr)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: done)
    ended, text = audit.audit([])
    assert ended == status
    assert said in text


def test_a_service_that_does_not_answer_is_waited_for_within_a_bound(monkeypatch):
    def slow(line: list[str], timeout: float, **options: Any) -> None:
        assert line[0] == sys.executable
        raise subprocess.TimeoutExpired(line, timeout)

    monkeypatch.setattr(subprocess, "run", slow)
    assert audit.audit([]) == (0, "nothing was audited: no answer within 300 seconds")
