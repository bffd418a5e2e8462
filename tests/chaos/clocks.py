"""A clock that jumps, by libfaketime (`apt-get install libfaketime`); where it is not installed, nothing is tried."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from base import Inputs, Try, fault, outcome
from commands import Command
from compare import run_differences
from trainings import at_random, trained

LIBRARY = "faketime/libfaketime.so.1"
JUMPS = ("+1d", "-2d", "+10m", "-1h")
"""From the true time."""


@fault("a clock that jumps forth and back by hours and days during a training", times=2)
def clock_jumps(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    """The clock of the day alone: those that count seconds do not jump on any system."""
    libraries = sorted(Path("/usr/lib").glob(f"*/{LIBRARY}"))
    if not libraries:
        return
    whole = trained(inputs)
    for _ in range(times):
        folder, clock = inputs.new("run"), inputs.new("clock")
        clock.write_text("+0\n")
        variables = {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        command = Command(inputs.training(folder), variables)
        jumped = []
        for jump in rng.sample(JUMPS, 2):
            when = at_random(command, folder, rng)
            clock.write_text(f"{jump}\n")
            jumped.append(f"{jump} {when}")
        status, said = command.end()
        yield outcome(", ".join(jumped), status, said, run_differences(whole, folder) if not status else "")
