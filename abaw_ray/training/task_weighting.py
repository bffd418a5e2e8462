"""Weights of tasks that follow how long each has not become better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


class StagnationWeights:
    """Weights of tasks by epochs without improvement (Deng, Wu & Shi, ICCVW 2021, its published code).

    After each epoch the factor of a task that has not been better than its best for n > 1 epochs is log2(n); any other
    task's stays as it is, 1 at first. A weight is the task's factor divided by the sum of all. A tie is no improvement.

    Args:
        tasks: names.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self._factors = dict.fromkeys(tasks, 1.0)
        self._best = dict.fromkeys(tasks, -math.inf)
        self._num_stale = dict.fromkeys(tasks, 0)

    def evaluated(self, criteria: Mapping[str, float]) -> None:
        """Takes an epoch's criterion of each task; a task that is not scored stays as it is."""
        for task in self._factors.keys() & criteria.keys():
            if criteria[task] > self._best[task]:
                self._best[task], self._num_stale[task] = criteria[task], 0
            else:
                self._num_stale[task] += 1
            if self._num_stale[task] > 1:
                self._factors[task] = math.log2(self._num_stale[task])

    def weights(self) -> dict[str, float]:
        """Task -> weight, 1 in sum."""
        total = sum(self._factors.values())
        return {task: factor / total for task, factor in self._factors.items()}

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"factors": dict(self._factors), "best": dict(self._best), "num_stale": dict(self._num_stale)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self._factors, self._best = dict(state["factors"]), dict(state["best"])
        self._num_stale = dict(state["num_stale"])
