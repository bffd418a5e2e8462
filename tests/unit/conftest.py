"""Fixtures of several unit tests."""

from __future__ import annotations

import pytest
from browsers import find_browser


@pytest.fixture(scope="session")
def browser() -> str:
    return find_browser()
