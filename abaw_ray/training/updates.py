"""What follows the optimiser's steps: the learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abaw_ray.config import Recipe
from abaw_ray.training.schedules import Schedule
from abaw_ray.training.step import Learner


class Updates:
    """Counts the optimiser's steps, and does what is done after each.

    Args:
        learner: whose optimiser it is.
        recipe: of the run.
        num_steps: in an epoch.
    """

    def __init__(self, learner: Learner, recipe: Recipe, num_steps: int) -> None:
        self._per_epoch = -(-num_steps // recipe.train.accumulate)
        self._schedule = Schedule(learner.optimizer, recipe, self._per_epoch)
        self._count = 0

    def done(self) -> None:
        """The optimiser has taken a step."""
        self._count += 1
        self._schedule.updated(self._count)

    def evaluated(self, criterion: float) -> None:
        """An epoch has ended with a criterion."""
        self._schedule.evaluated(self._count, criterion)

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs to go on from; empty: its epoch says it all."""
        schedule = self._schedule.state()
        return {"schedule": schedule} if schedule else {}

    def resume(self, epoch: int, state: Mapping[str, Any]) -> None:
        """Goes on before an epoch, 0-based, with the `state` after the one before it."""
        self._count = epoch * self._per_epoch
        if "schedule" in state:
            self._schedule.load_state(state["schedule"])
        self._schedule.updated(self._count)
