"""Workers that hang: each finds out itself that it takes no step any more, says where it is, and ends, so that the run
goes on from its last checkpoint as after any other loss of a worker.

hanging/restart-<number>/worker-<number>.json in the run's folder: what a worker was doing when it was found; stacks

Where workers wait for each other, all stand still when one does. Who waits for others is told by what the thread that
trains is in: a collective of torch, a backward pass (whose gradients are exchanged in it), or a report of Ray Train. It
gives the one that hangs the time to be found first. A process whose threads all stand still, as one that is stopped,
cannot find anything; the others do, and Ray Train's own health check.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from abaw_ray.blocks.files import read_json, write_json
from abaw_ray.errors import StoreError
from abaw_ray.storage import AnyPath

FOLDER = "hanging"

OTHERS_FIRST = 1.5
"""Times the bound that a worker which waits for others stands still before it is taken for hanging, too."""
LOOKS = 20
"""How often a worker is looked at within the bound."""
TORCH_WAITS = 1800
"""Seconds, as torch and Ray Train have it."""
WRITING_SECONDS = 15.0
"""That the reports may take: what hangs may be the very disk."""
STATUS = 3
"""Exit status of a process that hung."""

WAITS = ("torch.distributed", "torch.autograd.graph", "ray")
"""Modules in which a worker waits for others."""
LIBRARIES = (sysconfig.get_path("stdlib"), "<frozen")


class HangDetector:
    """Ends this process when the thread that made it gives no sign of life for too long. As a context it looks.

    Time is counted by looks at the thread, so that a machine that is suspended, or stops all its processes, does not
    count, and no clock is trusted.

    Args:
        folder: for the report; all workers see it.
        seconds: without a sign that are too long; None: nothing is looked at.
        rank, size: this worker's, and how many there are.
        where: it runs, for messages.
        end: the process; called on another thread.
    """

    def __init__(
        self,
        folder: AnyPath,
        seconds: float | None,
        rank: int,
        size: int,
        where: str,
        end: Callable[[], object] = lambda: os._exit(STATUS),
    ) -> None:
        self._file, self._seconds, self._end = folder / f"worker-{rank + 1}.json", seconds, end
        self._rank, self._size, self._where = rank, size, where
        self._thread = threading.get_ident()
        self._last, self._num_signs = "it was started", 0
        self._ended = threading.Event()

    def sign(self, last: str) -> None:
        """A sign of life.

        Args:
            last: what was just done, as `epoch 3, step 17 of 100`.
        """
        self._last = last
        self._num_signs += 1

    def __enter__(self) -> HangDetector:
        if self._seconds is not None:
            threading.Thread(target=self._look, args=[self._seconds], name="hang detector", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()

    def _look(self, seconds: float) -> None:
        interval, seen, silent = seconds / LOOKS, self._num_signs, 0.0
        while not self._ended.wait(interval):
            if self._num_signs != seen:
                seen, silent = self._num_signs, 0.0
                continue
            silent += interval
            if silent < seconds:
                continue
            frame = sys._current_frames().get(self._thread)
            waits = frame is not None and self._size > 1 and _waits_for_others(frame)
            if silent >= seconds * (OTHERS_FIRST if waits else 1):
                self._report(silent, waits, frame)
                if waits:
                    self._ended.wait(2 * interval)  # the others, who find the same, say so first
                if not self._ended.is_set():
                    self._end()
                return

    def _report(self, silent: float, waits: bool, frame: FrameType | None) -> None:
        values = {
            "worker": self._rank + 1,
            "where": self._where,
            "last": self._last,
            "seconds": silent,
            "waits_for_others": waits,
            "in": _place(frame),
            "stacks": _stacks(),
        }
        writer = threading.Thread(target=write_json, args=(self._file, values), daemon=True)
        writer.start()
        writer.join(WRITING_SECONDS)


def reports_folder(run: AnyPath, restart: int | None = None) -> AnyPath:
    """Where reports are kept of a run: of its start, 0, or of a restart; None: the folder of all of them."""
    return run / FOLDER if restart is None else run / FOLDER / f"restart-{restart}"


def collective_seconds(seconds: float | None) -> int:
    """How long torch waits for a collective: longer than detectors do, which know who hangs."""
    return max(TORCH_WAITS, int(2 * seconds)) if seconds is not None else TORCH_WAITS


def found_hanging(folder: AnyPath, size: int) -> str | None:
    """Who hangs, where, and since what, in one line; None: nobody was found to.

    Args:
        folder: that the workers' detectors had.
        size: number of workers.
    """
    read = (_read(folder / f"worker-{number}.json") for number in range(1, size + 1))
    reports = [report for report in read if report is not None]
    if not reports:
        return None
    hanging = [report for report in reports if not report["waits_for_others"]]
    if hanging:
        who = "; ".join(f"worker {report['worker']} hangs {_described(report)}" for report in hanging)
    else:
        who = "; ".join(f"worker {report['worker']} waits for others {_described(report)}" for report in reports)
        silent = sorted(set(range(1, size + 1)) - {report["worker"] for report in reports})
        who += "".join(f"; worker {number} says nothing" for number in silent)
    return f"{who} (stacks: {folder}; checkpoint.hang_minutes is the bound)"


def _read(file: AnyPath) -> dict[str, Any] | None:
    try:
        return read_json(file) if file.is_file() else None
    except StoreError:  # its process ended while it was written
        return None


def _described(report: dict[str, Any]) -> str:
    minutes = report["seconds"] / 60
    return f"on {report['where']}: no step for {minutes:.3g} minutes since {report['last']}, in {report['in']}"


def _frames(frame: FrameType | None) -> list[FrameType]:
    """A stack from its innermost frame."""
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def _is_ours(frame: FrameType) -> bool:
    """Whether it is code of the project or of a plugin, and of no library."""
    file, name = frame.f_code.co_filename, str(frame.f_globals.get("__name__"))
    return name.startswith("abaw_ray.") or not (file.startswith(LIBRARIES) or "-packages" in file)


def _waits_for_others(frame: FrameType) -> bool:
    for each in _frames(frame):
        name = str(each.f_globals.get("__name__"))
        if any(name == module or name.startswith(f"{module}.") for module in WAITS):
            return True
        if _is_ours(each):
            return False
    return False


def _place(frame: FrameType | None) -> str:
    """Where a stack is: its innermost frame that is of no library."""
    frames = _frames(frame)
    if not frames:
        return "a thread that has ended"
    found = next((each for each in frames if _is_ours(each)), frames[0])
    return f"{found.f_code.co_name} ({found.f_code.co_filename}:{found.f_lineno})"


def _stacks() -> dict[str, list[str]]:
    """Thread -> its stack, outermost first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        f"{names.get(ident, '?')} ({ident})": [line.rstrip() for line in traceback.format_stack(frame)]
        for ident, frame in sys._current_frames().items()
    }
