"""Ctrl-C ends a block wherever Python is when it comes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from abaw_ray.errors import Interrupted
from abaw_ray.interruption import stoppable

TIMEOUT = 100


class Finalised:
    """Ctrl-C comes while its memory is freed."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def in_a_finaliser() -> None:
    Finalised()


def at_a_fork() -> None:
    os.register_at_fork(after_in_parent=once(lambda: signal.raise_signal(signal.SIGINT)))
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def in_the_block() -> None:
    signal.raise_signal(signal.SIGINT)


def once(function: Callable[[], None]) -> Callable[[], None]:
    """Callbacks at forks cannot be taken away again."""
    calls = iter([function])
    return lambda: next(calls, lambda: None)()


@pytest.fixture(autouse=True)
def ctrl_c_is_not_ignored():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("press", [in_the_block, in_a_finaliser, at_a_fork])
def test_ctrl_c_ends_the_block_with_what_is_kept(press, capsys):
    ended: list[str] = []

    def go_on() -> None:
        press()
        limit = time.monotonic() + TIMEOUT
        while time.monotonic() < limit:
            time.sleep(0.01)
        ended.append("by itself")

    with pytest.raises(Interrupted, match="stopped; all is kept"), stoppable(lambda: "all is kept"):
        go_on()
    assert not ended
    assert capsys.readouterr().err == "stopping; Ctrl-C again stops at once\n"
