"""Work on the parts of a batch by several threads, for functions that let go of Python's lock."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
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


def in_turn(results: Iterable[Future[T]], num_ahead: int) -> Iterator[T]:
    """The results one after the other, while `num_ahead` more are worked on. An error is raised in its turn.

    Args:
        results: of work that begins as each is taken from here; what is not waited for any more is cancelled.
        num_ahead: that are taken before the first one is waited for.
    """
    waiting: deque[Future[T]] = deque()
    try:
        for result in results:
            waiting.append(result)
            if len(waiting) > num_ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for result in waiting:
            result.cancel()


def be_one_of_many() -> None:
    """From now on this thread does all parts itself: the others, which are like it, have the other CPUs."""
    _this_thread.is_one_of_many = True


@lru_cache(1)
def num_threads() -> int:
    """Threads that this process may use: `OMP_NUM_THREADS`, which Ray sets to a worker's CPUs, or else its CPUs."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(first) if first.isdecimal() and int(first) else available_cpus()


def available_cpus(root: Path = Path("/")) -> int:
    """CPUs that this process may use: those that it is bound to, or fewer where its container gets less time.

    Args:
        root: the folder of `proc` and `sys`.

    Returns:
        At least 1; parts of a CPU count as one.
    """
    return max(1, min([len(os.sched_getaffinity(0)), *map(math.ceil, _cpu_limits(root))]))


def _cpu_limits(root: Path) -> Iterator[float]:
    """CPUs' worth of time that each of this process's control groups may take, as far as it is limited."""
    for line in _text_of(root / "proc/self/cgroup").splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        # a container may see its own group as the top, under the name that it has outside
        group = top / place.strip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            files = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
            words = " ".join(_text_of(folder / name) for name in files).split()
            if len(words) == 2 and words[0] not in ("max", "-1"):
                yield int(words[0]) / int(words[1])


def _text_of(file: Path) -> str:
    """Empty if it cannot be read."""
    try:
        return file.read_text()
    except OSError:
        return ""


@lru_cache(1)
def _pool(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix="batch")
