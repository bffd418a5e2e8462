"""Learning rates over a run: warm-up, cosine, steps and plateaus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from abaw_ray.config import Recipe


class Schedule:
    """Sets the rates of an optimiser before every step of it.

    But on a plateau, the rate is a function of the number of steps taken: a run goes on at any epoch as if it had not
    been interrupted.

    Args:
        optimizer: whose groups have the rates that they begin with, and as `lr_scale` a factor of every rate, if any.
        recipe: `optim`, and of `train` the rate and the epochs.
        updates_per_epoch: steps of the optimiser in an epoch.
    """

    def __init__(self, optimizer: Optimizer, recipe: Recipe, updates_per_epoch: int) -> None:
        from timm.scheduler import create_scheduler_v2

        optim, train = recipe.optim, recipe.train
        least = optim.min_rate * train.learning_rate
        # timm's plateau keeps too little to go on from, and not every version of it has a constant rate: both are a
        # rate whose first step down would come after the end
        is_level = optim.schedule in ("constant", "plateau")
        self._of_updates, _ = create_scheduler_v2(
            optimizer,
            "step" if is_level else optim.schedule,
            num_epochs=train.epochs,
            decay_epochs=train.epochs + 1 if is_level else optim.decay_epochs,
            decay_rate=optim.decay_rate,
            min_lr=least,
            warmup_lr=optim.warmup_start * train.learning_rate,
            warmup_epochs=optim.warmup_epochs,  # type: ignore[arg-type]  # a number of steps is made of it
            step_on_epochs=False,
            updates_per_epoch=updates_per_epoch,
        )
        self._plateau: ReduceLROnPlateau | None = None
        if optim.schedule == "plateau":
            floors = [least * group.get("lr_scale", 1.0) for group in optimizer.param_groups]
            self._plateau = ReduceLROnPlateau(
                optimizer, "max", optim.decay_rate, optim.decay_epochs - 1, threshold=0.0, min_lr=floors
            )
        self._warmup = optim.warmup_epochs * updates_per_epoch
        self.updated(0)

    def updated(self, num_updates: int) -> None:
        """Sets the rates after a number of steps of the optimiser since the run began."""
        if self._plateau is None or num_updates < self._warmup + 1:
            self._of_updates.step_update(num_updates)

    def evaluated(self, num_updates: int, criterion: float) -> None:
        """Takes an epoch's criterion, of which more is better, after a number of steps."""
        if self._plateau is not None and num_updates > self._warmup:
            self._plateau.step(criterion)

    def state(self) -> dict[str, Any]:
        """What is no function of the number of steps; empty: nothing."""
        return dict(self._plateau.state_dict()) if self._plateau is not None else {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`; the optimiser's own state has the rates."""
        if self._plateau is not None:
            self._plateau.load_state_dict(dict(state))
