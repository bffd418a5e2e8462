"""Work on the parts of a batch by several threads, for functions that let go of Python's lock."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")
_this_thread = threading.local()


def on_threads(work: Callable[[T], None], parts: Sequence[T]) -> None:
    """Calls `work` with every part; an error in it is raised here."""
    if len(parts) > 1 and num_threads() > 1 and not hasattr(_this_thread, "is_one_of_many"):
        list(_pool(num_threads()).map(work, parts))
    else:
        for part in parts:
            work(part)


def be_one_of_many() -> None:
    """From now on this thread does all parts itself: the others, which are like it, have the other CPUs."""
    _this_thread.is_one_of_many = True


@lru_cache(1)
def num_threads() -> int:
    """Threads that this process may use: `OMP_NUM_THREADS`, which Ray sets to a worker's CPUs, or else all CPUs."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(first) if first.isdecimal() and int(first) else os.cpu_count() or 1


@lru_cache(1)
def _pool(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix="batch")
