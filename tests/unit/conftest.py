"""Fixtures of several unit tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from browsers import find_browser


@pytest.fixture(scope="session")
def browser() -> str:
    return find_browser()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small networks and tensors, of which threads wait for one another longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
