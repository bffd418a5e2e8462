"""Ctrl-C, and SIGTERM, by which schedulers and clusters end commands: a command ends with status 130 or 143, and says
what is kept and how to go on."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from _thread import interrupt_main, start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from abaw_ray.errors import Interrupted

T = TypeVar("T")

GOES_ON = "the same command goes on"

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_KEPT: list[Callable[[], str]] = []
"""What is kept, of the blocks of `stoppable` that this process is in."""


@contextmanager
def handlers_kept() -> Iterator[None]:
    """After the block the process's own handlers of signals are there again: Ray sets one that aborts at SIGTERM."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS if in_main_thread}
    try:
        yield
    finally:
        for number, handler in before.items():
            if callable(handler):
                signal.signal(number, handler)


@contextmanager
def stoppable(kept: Callable[[], str]) -> Iterator[None]:
    """Ctrl-C or SIGTERM in the block ends it, and what it has started; a second one ends the process at once.

    Where one of them is ignored, as Ctrl-C in the background of a script, it stays so.

    Args:
        kept: says what is kept, and how to go on; called when a signal came.

    Raises:
        Interrupted: a signal came.
    """
    _KEPT.append(kept)
    try:
        with _interruptible(kept):
            yield
    finally:
        _KEPT.pop()


def kept_now() -> str:
    """What the innermost block of `stoppable` says is kept, and how to go on."""
    return _KEPT[-1]() if _KEPT else GOES_ON


@contextmanager
def _interruptible(kept: Callable[[], str]) -> Iterator[None]:
    in_main_thread = threading.current_thread() is threading.main_thread()
    taken = [number for number in SIGNALS if in_main_thread and signal.getsignal(number) != signal.SIG_IGN]
    if not taken:
        yield
        return
    num_signals, status = 0, Interrupted.status
    was_swallowed = False

    def stop(number: int, *_: Any) -> None:
        nonlocal num_signals, status, was_swallowed
        if was_swallowed:
            was_swallowed = False
            raise KeyboardInterrupt
        num_signals, status = num_signals + 1, 128 + number
        if num_signals > 1:
            print(f"abaw-ray: {_message(kept)}", file=sys.stderr, flush=True)
            os._exit(status)
        print("stopping; Ctrl-C again stops at once", file=sys.stderr, flush=True)
        raise KeyboardInterrupt

    def look_at_ignored(ignored: Any) -> None:
        nonlocal was_swallowed
        if num_signals == 0 or not issubclass(ignored.exc_type, KeyboardInterrupt):
            hook_before(ignored)
            return
        was_swallowed = True
        start_new_thread(_interrupt_soon, ())

    before = {number: signal.signal(number, stop) for number in taken}
    hook_before, sys.unraisablehook = sys.unraisablehook, look_at_ignored
    try:
        yield
    except Interrupted as interrupted:
        if num_signals:
            interrupted.status = status
        raise
    except BaseException:
        if num_signals == 0:
            raise
        # whatever it is, it comes of the end: libraries make errors or exits of KeyboardInterrupt
        raise Interrupted(_message(kept), status) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook_before


def _interrupt_soon() -> None:
    """Ctrl-C once more: Python ignores any error of a finaliser or of a callback at a fork, and that it came there."""
    time.sleep(0.05)
    interrupt_main()


def _message(kept: Callable[[], str]) -> str:
    return f"stopped; {kept()}"


def on_a_thread(function: Callable[[], T]) -> T:
    """`function()`, of a main thread on another one, where it cannot install signal handlers of its own.

    The other thread is left behind when Ctrl-C comes; the function must not outlive what it waits for.
    """
    if threading.current_thread() is not threading.main_thread():
        return function()
    results: list[T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call, name=getattr(function, "__name__", "call"), daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
