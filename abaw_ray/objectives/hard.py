"""What heads learn from labels: the tasks' own losses, or those of several annotators' labels."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from abaw_ray.objectives.label_sets.base import LabelSets
from abaw_ray.objectives.terms import AnnotatorLabels, SetLabels
from abaw_ray.tasks.base import Task


class HardLosses(nn.Module):
    """The losses of all tasks against labels, in the two halves of `Task`.

    Args:
        tasks: the network's tasks.
        label_sets: task -> what it learns from several annotators' labels; those whose loss takes them all.
    """

    def __init__(self, tasks: Mapping[str, Task], label_sets: Mapping[str, LabelSets]) -> None:
        super().__init__()
        self._tasks = tasks
        self.label_sets = nn.ModuleDict({name: found for name, found in label_sets.items() if found.takes_all})

    def statistics(self, name: str, logits: Tensor, labels: SetLabels, labelled: Tensor) -> Tensor:
        """Sums (sums,) float64 over the rows of a set.

        Args:
            name: of the task.
            logits: (batch, outputs) of its head.
            labels: of the rows.
            labelled: (batch,) bool, the rows that count.
        """
        task = self._tasks[name]
        if name not in self.label_sets:
            return task.statistics(logits, labels.labels[name], labelled)
        found = labels.annotators[name]
        counted = AnnotatorLabels(found.values, found.given & labelled[:, None])
        return self._of(name).statistics(task, logits, counted)

    def supervised(self, name: str, statistics: Tensor) -> Tensor:
        """The loss of the global batch, a scalar."""
        task = self._tasks[name]
        return self._of(name).supervised(task, statistics) if name in self.label_sets else task.supervised(statistics)

    def _of(self, name: str) -> LabelSets:
        found = self.label_sets[name]
        assert isinstance(found, LabelSets)
        return found
