"""Memory of a sweep's processes: `python tests/chaos/memory.py --trials 100`.

A sweep of tiny trials on generated (synthetic) data, whose processes are measured every second: memory that is theirs
alone (unique set size). Prints JSON: of each kind of process the most at a time, the most that all of them took
together, and the driver's at the end of the first and the last tenth of the trials, between which it should not grow.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import psutil
from base import Inputs
from commands import Command
from sweeps import sweep_of

KINDS = {
    "abaw_ray tune": "driver",
    "TrainController": "controllers",
    "QueueActor": "progress actors",
    "ImplicitFunc": "trials' drivers",
    "RayTrainWorker": "workers",
    "gcs_server": "gcs",
    "raylet/raylet": "raylet",
    "dashboard": "dashboard",
}
"""What a command line has -> the kind of process."""


def measure(command: Command) -> dict[str, list[int]]:
    """Kind -> bytes of each of its processes."""
    found = defaultdict(list)
    for process in command.processes():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            kind = next((kind for part, kind in KINDS.items() if part in line), "others")
            found[kind].append(process.memory_full_info().uss)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--work", type=Path, help="folder that is kept, for inputs; default: a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="abaw-memory-", dir="/tmp") as temporary:
        inputs = Inputs((arguments.work or Path(temporary)).absolute())
        inputs.folder.mkdir(exist_ok=True)
        out = inputs.new("sweep")
        short = ["--set", "sampling.steps_per_epoch=2", "--set", "train.epochs=1", "--set", "checkpoint.every=null"]
        command = Command([*sweep_of(inputs, out, arguments.trials), *short])
        most, together = defaultdict(int), defaultdict(int)
        number, driver = defaultdict(int), {}
        while command.is_running:
            for kind, sizes in measure(command).items():
                most[kind], together[kind] = max(most[kind], *sizes), max(together[kind], sum(sizes))
                number[kind] = max(number[kind], len(sizes))
                if kind == "driver":
                    driver[len(list((out / "trials").glob("*/run.json")))] = max(sizes)
            time.sleep(1)
        status, said = command.end()
        if status:
            print(said, file=sys.stderr)
            return status
    tenth = [
        max((size for done, size in driver.items() if part(done)), default=0) for part in _tenths(arguments.trials)
    ]
    mebibytes = {
        kind: {"processes": number[kind], "each": most[kind] >> 20, "together": together[kind] >> 20} for kind in most
    }
    values = {"trials": arguments.trials, "MiB": mebibytes, "driver_first_and_last_tenth": [s >> 20 for s in tenth]}
    print(json.dumps(values, indent=2))
    return 0


def _tenths(trials: int) -> tuple[Callable[[int], bool], Callable[[int], bool]]:
    return (lambda done: 0 < done <= max(1, trials // 10)), (lambda done: done >= trials - max(1, trials // 10))


if __name__ == "__main__":
    sys.exit(main())
