"""A plugin that makes a worker of a training hang: CHAOS_HANGS has its rank, a step, counted from 1, and a file that is
not there yet; it is made, so that the worker hangs once."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from abaw_ray.training.step import Learner

_step = Learner.step
_num_steps = 0


def step(self: Learner, *arguments: Any) -> Any:
    """A step, in which a worker may hang."""
    global _num_steps
    _num_steps += 1
    rank, wanted, file = (os.environ.get("CHAOS_HANGS") or "-1 0 -").split()
    if self._world.rank == int(rank) and _num_steps == int(wanted) and not Path(file).exists():
        Path(file).touch()
        time.sleep(3600)
    return _step(self, *arguments)


Learner.step = step  # type: ignore[method-assign]
