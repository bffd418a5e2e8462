"""Ctrl-C: a command ends with status 130 and says what is kept and how to go on."""

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

_KEPT: list[Callable[[], str]] = []
"""What is kept, of the blocks of `stoppable` that this process is in."""


@contextmanager
def stoppable(kept: Callable[[], str]) -> Iterator[None]:
    """Ctrl-C in the block ends it, and what it has started; a second one ends the process at once.

    Where Ctrl-C is ignored, as in the background of a script, it stays so.

    Args:
        kept: says what is kept, and how to go on; called when Ctrl-C came.

    Raises:
        Interrupted: Ctrl-C came.
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
    if not in_main_thread or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield
        return
    num_signals = 0
    was_swallowed = False

    def stop(*_: Any) -> None:
        nonlocal num_signals, was_swallowed
        if was_swallowed:
            was_swallowed = False
            raise KeyboardInterrupt
        num_signals += 1
        if num_signals > 1:
            print(f"abaw-ray: {_message(kept)}", file=sys.stderr, flush=True)
            os._exit(Interrupted.status)
        print("stopping; Ctrl-C again stops at once", file=sys.stderr, flush=True)
        raise KeyboardInterrupt

    def look_at_ignored(ignored: Any) -> None:
        nonlocal was_swallowed
        if num_signals == 0 or not issubclass(ignored.exc_type, KeyboardInterrupt):
            hook_before(ignored)
            return
        was_swallowed = True
        start_new_thread(_interrupt_soon, ())

    before = signal.signal(signal.SIGINT, stop)
    hook_before, sys.unraisablehook = sys.unraisablehook, look_at_ignored
    try:
        yield
    except Interrupted:
        raise
    except BaseException:
        if num_signals == 0:
            raise
        # whatever it is, it comes of the end: libraries make errors or exits of KeyboardInterrupt
        raise Interrupted(_message(kept)) from None
    finally:
        signal.signal(signal.SIGINT, before)
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
