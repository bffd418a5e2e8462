"""The student's objective (equations 8-10): every head learns from every set, from labels and from the teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from abaw_ray.config import LossConfig
from abaw_ray.models.outputs import SetsOutput
from abaw_ray.objectives.base import StepData
from abaw_ray.objectives.hard import HardLosses
from abaw_ray.objectives.kd.base import Head, KDLoss
from abaw_ray.objectives.label_sets.base import LabelSets
from abaw_ray.objectives.terms import Term
from abaw_ray.tasks.base import Task
from abaw_ray.tasks.soft import masked_sum, ratio


class Distillation(nn.Module):
    """One term for every source set and task.

    A row labelled for the task contributes G = λL + (1 - λ)H, any other row H (equation 10); H is the sum of the KD
    losses. In a set made for the task every row is labelled, so that its term is G_i (equation 8). Without shared
    annotations the other sets' labels are not used: equation 9. A nuisance task learns from labels alone.

    Args:
        tasks: the network's tasks.
        set_tasks: source set -> the tasks it was made for.
        config: λ (`hard_weight`), temperature and switches.
        kd: the KD losses by name.
        label_sets: task -> what it learns from several annotators' labels.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        set_tasks: Mapping[str, tuple[str, ...]],
        config: LossConfig,
        kd: Mapping[str, KDLoss],
        label_sets: Mapping[str, LabelSets] | None = None,
    ) -> None:
        super().__init__()
        self._tasks, self._set_tasks, self._config = tasks, set_tasks, config
        self.hard = HardLosses(tasks, label_sets or {})
        self.kd = nn.ModuleDict(kd)
        self._use_labels = any(loss.uses_labels for loss in kd.values())

    def terms(self, step: StepData) -> list[Term]:
        """The terms of a step; its teacher's output is there."""
        assert step.teacher is not None, "a student has a teacher"
        terms = []
        for source, labels in step.labels.items():
            for name, task in self._tasks.items():
                labelled = labels.labelled[name]
                if name not in self._set_tasks[source] and not self._config.shared_annotations:
                    labelled = torch.zeros_like(labelled)
                logits, supervised = step.network.logits[source][name], partial(self.hard.supervised, name)
                if task.role == "nuisance":
                    sums = self.hard.statistics(name, logits, labels, labelled)
                    terms.append(Term(source, name, sums, supervised))
                    continue
                classes = task.target_classes(labels.labels[name], labelled) if self._use_labels else None
                soft = self._soft(source, task, step.network, step.teacher, classes)
                sums = torch.cat(
                    [
                        torch.stack([masked_sum(soft, labelled), labelled.double().sum()]),
                        torch.stack([masked_sum(soft, ~labelled), (~labelled).double().sum()]),
                        self.hard.statistics(name, logits, labels, labelled),
                    ]
                )
                terms.append(Term(source, name, sums, _value(supervised, self._config)))
        return terms

    def _soft(self, source: str, task: Task, student: SetsOutput, teacher: SetsOutput, target: Tensor | None) -> Tensor:
        """The sum of the KD losses of each row (batch,)."""
        name, losses = task.space.name, []
        temperature = self._config.temperature
        of_student, of_teacher = (_head(output, source, task, temperature) for output in (student, teacher))
        for loss in self.kd.values():
            assert isinstance(loss, KDLoss)
            rows = loss(name, of_student, of_teacher, target)
            if loss.softened and self._config.temperature_squared:
                rows = rows * temperature**2
            losses.append(loss.options.weight * rows)
        return torch.stack(losses).sum(0)


def _head(output: SetsOutput, source: str, task: Task, temperature: float) -> Head:
    name = task.space.name
    features = output.features[source][name].float() if output.features else None
    return Head(task.distributions(output.logits[source][name], temperature), features)


def _value(supervised: Callable[[Tensor], Tensor], config: LossConfig) -> Callable[[Tensor], Tensor]:
    def value(sums: Tensor) -> Tensor:
        soft_labelled, num_labelled, soft_unlabelled, num_unlabelled = sums[:4]
        hard = supervised(sums[4:])
        group_labelled = config.hard_weight * hard + (1 - config.hard_weight) * ratio(soft_labelled, num_labelled)
        group_unlabelled = ratio(soft_unlabelled, num_unlabelled)
        if config.shared_weighting == "group_mean":
            num_labelled, num_unlabelled = num_labelled.clamp(max=1.0), num_unlabelled.clamp(max=1.0)
        weighted = num_labelled * group_labelled + num_unlabelled * group_unlabelled
        return weighted / (num_labelled + num_unlabelled)

    return value
