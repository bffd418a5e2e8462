"""Looks for known vulnerabilities in the packages of the image, by pip-audit: `make audit`, which `make lint` calls.

Status 1 if there is one. Where PyPI's advisories cannot be reached, as behind a mirror that has files alone, it says so
and ends with 0: lint needs no network. Options are passed on to pip-audit, as `--ignore-vuln ID`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "cluster" / "requirements.lock"
LIMIT_SECONDS = 300


def audit(options: list[str], lock: Path = LOCK) -> tuple[int, str]:
    """Status, and what is to be said.

    Args:
        options: of pip-audit.
        lock: requirements with hashes, which are asked for as they are.
    """
    line = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip", "--require-hashes"]
    line += ["--format", "json", "--progress-spinner", "off", "--timeout", "10", *options]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return 0, f"nothing was audited: no answer within {LIMIT_SECONDS} seconds"
    if "No module named" in done.stderr:
        return 2, "pip-audit is not installed: make install"
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        why = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        return (2 if "usage:" in done.stderr else 0), f"nothing was audited: {why}"
    return verdict(dependencies)


def verdict(dependencies: list[dict[str, Any]]) -> tuple[int, str]:
    """Status, and what is to be said, of pip-audit's `dependencies`."""
    audited = [found for found in dependencies if "skip_reason" not in found]
    if not audited:
        why = dependencies[0]["skip_reason"] if dependencies else "no package"
        return 0, f"nothing was audited, of {len(dependencies)} packages: {why}"
    lines = [
        f"{found['name']} {found['version']}: {each['id']}, mended in {', '.join(each['fix_versions']) or 'no version'}"
        for found in audited
        for each in found["vulns"]
    ]
    lines.append(f"{len(audited)} of {len(dependencies)} packages were audited, {len(lines)} known vulnerabilities")
    return int(len(lines) > 1), "\n".join(lines)


def main() -> int:
    status, said = audit(sys.argv[1:])
    print(f"audit: {said}")
    return status


if __name__ == "__main__":
    sys.exit(main())
