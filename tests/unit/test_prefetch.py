"""Batches made ahead: in order, errors passed on, the thread ended."""

from __future__ import annotations

import threading

import pytest

from abaw_ray.training.prefetch import prefetch


def num_prefetch_threads() -> int:
    return sum(t.name == "prefetch" for t in threading.enumerate())


def test_items_come_in_order():
    assert list(prefetch(lambda i: i * i, 100)) == [i * i for i in range(100)]
    assert num_prefetch_threads() == 0


def test_an_error_reaches_the_consumer():
    def make(i: int) -> int:
        if i == 3:
            raise OSError("disk gone")
        return i

    items = prefetch(make, 10)
    assert [next(items), next(items), next(items)] == [0, 1, 2]
    with pytest.raises(OSError, match="disk gone"):
        next(items)


def test_leaving_early_ends_the_thread():
    items = prefetch(lambda i: i, 1000)
    next(items)
    items.close()
    assert num_prefetch_threads() == 0


def test_at_most_depth_ahead():
    made = []
    items = prefetch(lambda i: made.append(i) or i, 50, depth=2)
    for consumed in items:
        # in the queue, waiting to be put, and being consumed
        assert len(made) <= consumed + 1 + 2 + 1
