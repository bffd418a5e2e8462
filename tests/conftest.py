"""An S3 server on this machine, and a cache for what comes from it that is no user's own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import ObjectStore

# before any Ray starts: its processes inherit them
CACHE = tempfile.TemporaryDirectory(prefix="abaw-ray-cache-")
os.environ |= {
    "ABAW_RAY_CACHE": CACHE.name,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """A server that speaks S3's protocol, with one bucket."""
    with ObjectStore() as server:
        yield server


@pytest.fixture
def node_cache_folder() -> Path:
    """The cache that processes of the tests use."""
    return Path(CACHE.name)
