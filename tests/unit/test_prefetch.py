"""Batches made ahead: in order, errors passed on, the threads ended."""

from __future__ import annotations

import threading

import pytest

from abaw_ray.training.prefetch import prefetch


def num_prefetch_threads() -> int:
    return sum(t.name.startswith("prefetch") for t in threading.enumerate())


@pytest.mark.parametrize("num_threads", [1, 3])
def test_items_come_in_order(num_threads):
    assert list(prefetch(lambda i: i * i, 100, num_threads)) == [i * i for i in range(100)]
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


def test_leaving_early_ends_the_threads():
    items = prefetch(lambda i: i, 1000, num_threads=2)
    next(items)
    items.close()
    assert num_prefetch_threads() == 0


@pytest.mark.parametrize("num_threads", [1, 2])
def test_few_are_made_ahead(num_threads):
    made = []
    for consumed in prefetch(lambda i: made.append(i) or i, 50, num_threads):
        assert len(made) <= consumed + 1 + num_threads + 1


def test_threads_work_on_items_at_the_same_time():
    both = threading.Barrier(2, timeout=300)
    assert list(prefetch(lambda i: both.wait() >= 0, 4, num_threads=2)) == [True] * 4
