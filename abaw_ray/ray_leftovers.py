"""Ends what a killed driver leaves of its local Ray. Runs as a process of its own: `python ray_leftovers.py ADDRESS`.

Ray's own processes notice within seconds that a driver is gone, but its agents then try for a minute to tell the
cluster, which is gone, too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROCESSES = Path("/proc")
GRACE_SECONDS = 2.0


@contextmanager
def leftovers_ended(address: str) -> Iterator[None]:
    """Should this process be killed within the block, processes with `address` in their RAY_ADDRESS are ended after it.

    Where there is no /proc, nothing is done.
    """
    if not PROCESSES.is_dir():
        yield
        return
    # its standard input ends when this process does
    with subprocess.Popen(
        [sys.executable, __file__, address], stdin=subprocess.PIPE, start_new_session=True
    ) as watcher:
        try:
            yield
        finally:
            watcher.kill()


def processes_at(address: str) -> list[int]:
    """Numbers of the processes that were started with RAY_ADDRESS=`address`."""
    variable = f"RAY_ADDRESS={address}".encode()
    found = []
    for process in PROCESSES.iterdir():
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if process.name.isdigit() and variable in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def end_processes_at(address: str) -> None:
    """Ends the processes that were started with RAY_ADDRESS=`address`; never this one."""
    for process in processes_at(address):
        if process != os.getpid():
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)


def _end_when_orphaned(address: str) -> None:
    sys.stdin.buffer.read()
    time.sleep(GRACE_SECONDS)
    end_processes_at(address)


if __name__ == "__main__":
    _end_when_orphaned(sys.argv[1])
