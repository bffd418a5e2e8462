"""Pages in a headless browser of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
OFFLINE = [*QUIET, "--disable-background-networking", "--disable-component-update"]


def find_browser() -> str:
    """A browser of this machine; without one the test is skipped, or fails where CI requires one."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        assert os.environ.get("CI_BROWSER") != "required", f"none of {', '.join(BROWSERS)} is installed"
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    return found


def opened(browser: str, page: Path, *wanted: str) -> str:
    """The document after its scripts have run; they may not have failed, nor may anything else be complained of."""
    line = [browser, *OFFLINE, "--enable-logging=stderr", "--virtual-time-budget=10000", *(wanted or ["--dump-dom"])]
    line += [f"--user-data-dir={page.parent / 'browser'}", page.as_uri()]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout
