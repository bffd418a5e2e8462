"""`prepare` killed at random moments."""

from __future__ import annotations

import random
from collections.abc import Iterator

from base import Inputs, Try, fault, outcome
from commands import Command
from compare import store_differences


@fault("`prepare` and all its processes killed at a random moment, and run again", times=20)
def prepare_killed(inputs: Inputs, rng: random.Random, times: int) -> Iterator[Try]:
    """Every third store is killed at three moments, one after the other."""
    store, seconds = inputs.prepared
    for number in range(times):
        place, moments = inputs.new("store"), []
        for _ in range(3 if number % 3 == 2 else 1):
            moment = rng.uniform(0, seconds)
            while True:
                command = Command([*inputs.preparing, str(place)])
                is_running = command.wait(moment)
                command.kill_all()
                if is_running:
                    break
                if not moments:  # it was faster than the undisturbed one: nothing was killed
                    place = inputs.new("store")
                moment *= 0.8
            num_files = sum(path.is_file() for path in place.rglob("*"))
            moments.append(f"{moment:.1f} s ({num_files} files)")
        status, said = Command([*inputs.preparing, str(place)]).end()
        lost = store_differences(store, place) if not status else ""
        yield outcome(f"killed after {', '.join(moments)} of {seconds:.0f} s", status, said, lost)
