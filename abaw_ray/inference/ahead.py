"""Work on a stream of items by several threads, in the items' order, with few of them in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

from abaw_ray.threads import in_turn

T = TypeVar("T")
R = TypeVar("R")

NUM_AHEAD = 4
"""Items that are made before they are asked for."""

POLL_SECONDS = 0.1


def in_order(work: Callable[[T], R], items: Iterable[T], num_threads: int) -> Iterator[R]:
    """`work` of each item, in order; a thread makes the items, and `num_threads` work on the next ones.

    An error of `items` or `work` is raised in its turn.
    """
    with ThreadPoolExecutor(num_threads, "frames") as pool, closing(ahead(items)) as source:
        yield from in_turn(_submitted(pool, work, source), num_threads + NUM_AHEAD)


def _submitted(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T]) -> Iterator[Future[R]]:
    """The work on each item; an error of `items` is the last."""
    try:
        for item in items:
            yield pool.submit(work, item)
    except Exception as error:
        failed: Future[R] = Future()
        failed.set_exception(error)
        yield failed


def ahead(items: Iterable[T]) -> Generator[T, None, None]:
    """The items, which a thread of its own makes; a few are ready before they are asked for."""
    made: Queue[tuple[T | None, BaseException | None, bool]] = Queue(NUM_AHEAD)
    is_closed = Event()

    def put(entry: tuple[T | None, BaseException | None, bool]) -> None:
        while not is_closed.is_set():
            with suppress(Full):
                made.put(entry, timeout=POLL_SECONDS)
                return

    def make() -> None:
        try:
            for item in items:
                if is_closed.is_set():
                    return
                put((item, None, False))
        except BaseException as error:
            put((None, error, True))
        else:
            put((None, None, True))

    thread = Thread(target=make, name="reader", daemon=True)
    thread.start()
    try:
        while True:
            item, error, is_last = made.get()
            if error is not None:
                raise error
            if is_last:
                return
            yield item  # type: ignore[misc]
    finally:
        is_closed.set()
        thread.join()
