"""Batches made ready on threads, so that the device does not wait for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from abaw_ray.threads import be_one_of_many, in_turn

T = TypeVar("T")


def prefetch(make: Callable[[int], T], num_items: int, num_threads: int = 1, first: int = 0) -> Iterator[T]:
    """make(first), make(first + 1), ..., make(num_items - 1), in order; while one is used, a thread each makes the next
    ones, and one more is ready.

    An error in `make` is raised here, in its turn.
    """
    start = be_one_of_many if num_threads > 1 else None
    with ThreadPoolExecutor(num_threads, "prefetch", start) as pool:
        yield from in_turn((pool.submit(make, number) for number in range(first, num_items)), num_threads + 1)
