"""The teacher's objective (equation 7): each head learns from the sets that were made for its task."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import nn

from abaw_ray.objectives.base import StepData
from abaw_ray.objectives.hard import HardLosses
from abaw_ray.objectives.label_sets.base import LabelSets
from abaw_ray.objectives.terms import Term
from abaw_ray.tasks.base import Task


class Supervised(nn.Module):
    """L_i of every source set i (equations 1-3). Shared annotations play no part.

    Args:
        tasks: the network's tasks.
        set_tasks: source set -> the tasks it was made for.
        label_sets: task -> what it learns from several annotators' labels.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        set_tasks: Mapping[str, tuple[str, ...]],
        label_sets: Mapping[str, LabelSets] | None = None,
    ) -> None:
        super().__init__()
        self._set_tasks = set_tasks
        self.hard = HardLosses(tasks, label_sets or {})

    def terms(self, step: StepData) -> list[Term]:
        """One for every source set and task it was made for."""
        terms = []
        for source, labels in step.labels.items():
            for name in self._set_tasks[source]:
                sums = self.hard.statistics(name, step.network.logits[source][name], labels, labels.labelled[name])
                terms.append(Term(source, name, sums, partial(self.hard.supervised, name)))
        return terms
