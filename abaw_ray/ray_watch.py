"""Tells the user that the Ray which this process has started is gone: the command can only end then.

Ray itself ends the process some seconds later, or a minute, with nothing that says what happened or what to do.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from abaw_ray.errors import WorkerFault
from abaw_ray.interruption import kept_now

NEEDED = frozenset({"gcs_server", "raylet"})
"""Processes of Ray, by its names for them, without which it can do nothing. It goes on without others."""
LOOK_SECONDS = 0.5

_telling = threading.Lock()


@contextmanager
def ended_with_ray() -> Iterator[None]:
    """Should Ray of this process die within the block, the process ends: with a message, and status 1."""
    ended = threading.Event()
    thread = threading.Thread(target=_look, args=(ended,), name="ray-watch", daemon=True)
    thread.start()
    try:
        yield
    except Exception:
        end_if_gone()  # the error comes of it
        raise
    finally:
        ended.set()
        thread.join()


def end_if_gone() -> None:
    """Ends this process if the Ray that it has started is gone."""
    if not (dead := _dead()):
        return
    with _telling:  # never freed: one thread tells
        try:
            line = f"abaw-ray: Ray on this machine is gone ({', '.join(dead)}); {kept_now()}"
            print(line, file=sys.stderr, flush=True)
            sys.stdout.flush()
        finally:
            os._exit(WorkerFault.status)


def _look(ended: threading.Event) -> None:
    while not ended.wait(LOOK_SECONDS):
        end_if_gone()


def _dead() -> list[str]:
    """Needed processes that are gone, and how they ended; empty: none, or this process has started none."""
    node: Any = ray._private.worker._global_node
    found = node.dead_processes() if node is not None else []
    return [f"its {kind} {_end(process.returncode)}" for kind, process in found if kind in NEEDED]


def _end(status: int) -> str:
    if status == -signal.SIGKILL:
        return "was killed, as the system does where memory runs out"
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
