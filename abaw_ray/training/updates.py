"""What follows the optimiser's steps: the learning rates, and the average of the weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from abaw_ray.config import Recipe
from abaw_ray.models.checkpoint import Weights
from abaw_ray.models.sets import Network
from abaw_ray.training.schedules import Schedule
from abaw_ray.training.step import Learner

logger = logging.getLogger(__name__)


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
        self._learner = learner
        self._network, self._average, decay = learner.network, None, recipe.optim.average
        if decay is not None:
            from timm.utils import ModelEmaV3

            self._average = ModelEmaV3(learner.network, decay, use_warmup=True)
        self._count = 0

    @property
    def networks(self) -> dict[Weights, Network]:
        """The networks to evaluate: that in training, and if there is one, that of the averaged weights."""
        networks: dict[Weights, Network] = {"trained": self._network}
        if self._average is not None:
            networks["averaged"] = self._average.module
        return networks

    def done(self) -> None:
        """The optimiser has taken a step."""
        self._count += 1
        self._schedule.updated(self._count)
        if self._average is not None:
            self._average.update(self._network, self._count)

    def evaluated(self, criterion: float) -> None:
        """An epoch has ended with a criterion; says how many of its steps were left out."""
        if num := self._learner.take_overflown():
            logger.warning(
                "%d of %d steps of the optimiser were left out: their gradient overflowed float16", num, self._per_epoch
            )
        self._schedule.evaluated(self._count, criterion)

    def state(self, kept: Weights) -> dict[str, Any]:
        """What a checkpoint needs to go on from beside the weights that it keeps; empty: nothing."""
        others = {name: network.state_dict() for name, network in self.networks.items() if name != kept}
        state = {"schedule": self._schedule.state(), "weights": others, "scaler": self._learner.scaler.state_dict()}
        return {key: value for key, value in state.items() if value}

    def resume(self, epoch: int, kept: Weights, state: Mapping[str, Any]) -> None:
        """Goes on before an epoch, 0-based, from a checkpoint of the one before it.

        Args:
            epoch: that is trained next.
            kept: whose weights the checkpoint has, which are in the network now.
            state: that the checkpoint has beside them.
        """
        self._count = epoch * self._per_epoch
        self.networks[kept].load_state_dict(self._network.state_dict())
        for name, weights in state.get("weights", {}).items():
            self.networks[name].load_state_dict(weights)
        if "scaler" in state:
            self._learner.scaler.load_state_dict(state["scaler"])
        if "schedule" in state:
            self._schedule.load_state(state["schedule"])
        self._schedule.updated(self._count)

    def state_within(self) -> dict[str, Any]:
        """All that is needed to go on within an epoch, also the weights in training."""
        return {
            "count": self._count,
            "weights": {name: network.state_dict() for name, network in self.networks.items()},
            "schedule": self._schedule.state(),
            "scaler": self._learner.scaler.state_dict(),
            "num_overflown": self._learner.num_overflown,
        }

    def resume_within(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_within`, once the optimiser has its own state."""
        for name, network in self.networks.items():
            network.load_state_dict(state["weights"][name])
        if state["scaler"]:
            self._learner.scaler.load_state_dict(state["scaler"])
        self._learner.num_overflown.copy_(state["num_overflown"])
        self._count = state["count"]
        self._schedule.load_state(state["schedule"])
        self._schedule.updated(self._count)
