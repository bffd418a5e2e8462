"""A sweep as data: what was tried, what came of it, and what the winner is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["finished", "stopped", "failed", "unfinished"]
"""Of a trial: trained to its end, stopped early by the scheduler, ended by an error, cut off with the sweep."""

Value = float | int | str | bool | None


@dataclass(frozen=True)
class Trial:
    """One configuration, and how it did.

    Args:
        name: of its folder among the sweep's trials.
        parameters: dotted recipe key, as `loss.temperature` -> value.
        status: see `Status`.
        criteria: criterion on the validation split after each epoch that was run.
        seconds: from its start to its end; those of the last part, if it was interrupted.
    """

    name: str
    parameters: dict[str, Value]
    status: Status
    criteria: tuple[float, ...]
    seconds: float | None = None

    @property
    def best(self) -> float | None:
        """The highest criterion that is a number; None before the first."""
        return max(filter(math.isfinite, self.criteria), default=None)

    @property
    def best_epoch(self) -> int | None:
        """The 0-based epoch of `best`."""
        return None if self.best is None else self.criteria.index(self.best)


@dataclass(frozen=True)
class Sweep:
    """All trials, in the order in which they were started.

    Args:
        title: what was searched, in words, as `distillation: 12 trials, asha, random`.
        epochs: most epochs of a trial.
        num_trials: that were asked for.
        seconds: wall time of all parts of the sweep together.
        trials: those that were started.
        retrained: fresh seed -> criterion of the best configuration trained again with it; empty before that is done.
    """

    title: str
    epochs: int
    num_trials: int
    seconds: float
    trials: tuple[Trial, ...]
    retrained: dict[int, float]

    @property
    def best(self) -> Trial | None:
        """The trial with the highest criterion; of several the earliest."""
        scored = [t for t in self.trials if t.best is not None]
        return max(scored, key=lambda t: t.best or 0.0) if scored else None

    @property
    def names(self) -> Sequence[str]:
        """Parameters that some trial has, in order of appearance."""
        return list(dict.fromkeys(name for t in self.trials for name in t.parameters))

    @property
    def num_epochs(self) -> int:
        """Epochs that were run, of all trials together."""
        return sum(len(t.criteria) for t in self.trials)

    @property
    def num_grid_epochs(self) -> int:
        """Epochs of the same trials without early stopping by a scheduler."""
        return self.num_trials * self.epochs
