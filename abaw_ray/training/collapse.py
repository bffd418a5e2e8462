"""Adversaries that win too much: a network that has forgotten the emotion, or a head that tells nothing any more."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from abaw_ray.evaluation.evaluator import HEADLINE, Evaluation
from abaw_ray.evaluation.predictions import POOLED, pairs
from abaw_ray.objectives.base import OWN
from abaw_ray.tasks import targets
from abaw_ray.tasks.base import Task
from abaw_ray.training.nuisances import TrainedNuisance
from abaw_ray.training.symptoms import chance_criterion

logger = logging.getLogger(__name__)

AT_CHANCE = 0.02
"""A criterion this near to chance, or below, tells no emotion."""
LEARNED = 0.05
"""A criterion this far above chance did."""
NOTHING_TOLD = 0.99
"""Share of the entropy of a nuisance's classes: a loss above it is that of a head that tells how frequent they are."""
ROWS_AT_ONCE = 65_536


class CollapseWatch:
    """Says, once for each, in which epoch a target or a nuisance's head is at chance; only where the network is to
    forget something.

    Targets are looked at by their criterion on validation, heads of multiclass nuisances by their mean loss in
    training. What has not been learned yet counts after the last epoch alone.

    Args:
        tasks: of the network.
        nuisances: by name.
        num_epochs: of the whole training.
    """

    def __init__(self, tasks: Mapping[str, Task], nuisances: Mapping[str, TrainedNuisance], num_epochs: int) -> None:
        self._adversaries = {name: found for name, found in nuisances.items() if found.is_adversary}
        self._tasks = {name: tasks[name] for name in targets(tasks)} if self._adversaries else {}
        self._entropies = {
            name: entropy for name, found in self._adversaries.items() if (entropy := class_entropy(found)) is not None
        }
        self._num_epochs = num_epochs
        self._learned: set[str] = set()
        self._told: set[str] = set()

    def look(self, epoch: int, evaluation: Evaluation, losses: Mapping[str, float]) -> None:
        """Looks at an epoch, 0-based: at its evaluation, and at the mean of each of its losses by `named_losses`."""
        for name, task in self._tasks.items():
            scores = evaluation.scores[HEADLINE][POOLED].get(name)
            if scores is not None:
                chance = chance_criterion(task, pairs(evaluation.table, name)[0])
                if chance is not None:
                    self._look_at_target(epoch, name, task.criterion(scores), chance)
        for name, entropy in self._entropies.items():
            of_head = f"{name}/{OWN}/" if self._adversaries[name].options.mode == "confuse" else f"{name}/"
            found = [value for key, value in losses.items() if key.startswith(of_head)]
            if found:
                self._look_at_head(epoch, name, float(np.mean(found)), entropy)

    def _look_at_target(self, epoch: int, name: str, criterion: float, chance: float) -> None:
        if criterion > chance + LEARNED:
            self._learned.add(name)
        if criterion <= chance + AT_CHANCE and self._counts(epoch, name):
            names = list(self._adversaries)
            logger.warning(
                "epoch %d: %s has collapsed to chance (criterion %.3f, chance %.3f) while the network forgets"
                " %s: lower tasks.%s.nuisance.strength, or begin later by its delay",
                *(epoch, name, criterion, chance, ", ".join(names), names[0]),
            )

    def _look_at_head(self, epoch: int, name: str, loss: float, entropy: float) -> None:
        if loss < (1 - LEARNED) * entropy:
            self._learned.add(name)
        if loss >= NOTHING_TOLD * entropy and self._counts(epoch, name):
            logger.warning(
                "epoch %d: the head of %s tells nothing (cross-entropy %.3f, entropy of the classes %.3f): the features"
                " hide it, or the head has collapsed and they only look as if; `abaw-ray probe` tells which",
                *(epoch, name, loss, entropy),
            )

    def _counts(self, epoch: int, name: str) -> bool:
        """Whether what is at chance is to be said: it was learned before, or will not be; and it was not said."""
        counts = name not in self._told and (name in self._learned or epoch + 1 == self._num_epochs)
        if counts:
            self._told.add(name)
        return counts


def class_entropy(nuisance: TrainedNuisance) -> float | None:
    """Entropy of the classes of a nuisance's training labels, in nats; None: it is not multiclass."""
    if nuisance.task.space.kind != "multiclass":
        return None
    parts = np.array_split(nuisance.rows, -(-len(nuisance.rows) // ROWS_AT_ONCE))
    shares = np.sum([np.nan_to_num(nuisance.labels.of(part)[0]).sum(0) for part in parts], 0) / len(nuisance.rows)
    return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
