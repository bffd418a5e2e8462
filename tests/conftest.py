"""What all tests share: an S3 server on this machine, a cache that is no user's own, and no limits of time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from object_store import ObjectStore

# before any Ray starts: its processes inherit them
CACHE = tempfile.TemporaryDirectory(prefix="abaw-ray-cache-")
os.environ |= {
    # Ray starts where it is asked to, never by itself: it would stay for the tests to come
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "ABAW_RAY_CACHE": CACHE.name,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
}
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # processes that test side by side share the CPUs

# a test is right on a machine of any speed, and under any load
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """A server that speaks S3's protocol, with one bucket."""
    from object_store import ObjectStore  # its libraries need not be there where no test asks for it

    with ObjectStore() as server:
        yield server


@pytest.fixture
def node_cache_folder() -> Path:
    """The cache that processes of the tests use."""
    return Path(CACHE.name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says in one line that pages were not looked at; `-ra` gives each test that was skipped a line of its own."""
    num_skipped = sum("is installed" in str(report.longrepr) for report in terminalreporter.stats.get("skipped", []))
    if num_skipped:
        terminalreporter.write_line(
            f"{num_skipped} tests of pages were skipped, for want of a browser: install chromium to run them"
        )
