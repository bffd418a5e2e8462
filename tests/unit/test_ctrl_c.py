"""Ctrl-C and SIGTERM end a block wherever Python is when they come."""

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


def terminated() -> None:
    signal.raise_signal(signal.SIGTERM)


def once(function: Callable[[], None]) -> Callable[[], None]:
    """Callbacks at forks cannot be taken away again."""
    calls = iter([function])
    return lambda: next(calls, lambda: None)()


@pytest.fixture(autouse=True)
def nothing_is_ignored():
    """As processes that test side by side ignore SIGTERM."""
    before = [signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, signal.SIG_DFL)]
    yield
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("press", "status"), [(in_the_block, 130), (in_a_finaliser, 130), (at_a_fork, 130), (terminated, 143)]
)
def test_a_signal_ends_the_block_with_what_is_kept(press, status, capsys):
    ended: list[str] = []

    def go_on() -> None:
        press()
        limit = time.monotonic() + TIMEOUT
        while time.monotonic() < limit:
            time.sleep(0.01)
        ended.append("by itself")

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="stopped; all is kept") as stopped, stoppable(lambda: "all is kept"):
        go_on()
    assert not ended
    assert stopped.value.status == status
    assert signal.getsignal(signal.SIGTERM) == before
    assert capsys.readouterr().err == "stopping; Ctrl-C again stops at once\n"
