"""The student's objective (equations 8-10): every head learns from every set, from labels and from the teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from abaw_ray.config import LossConfig
from abaw_ray.objectives.terms import Outputs, SetLabels, Term
from abaw_ray.tasks.base import Task
from abaw_ray.tasks.soft import masked_sum, ratio


def distillation_terms(
    tasks: Mapping[str, Task],
    set_tasks: Mapping[str, tuple[str, ...]],
    batch: Mapping[str, SetLabels],
    student: Outputs,
    teacher: Outputs,
    config: LossConfig,
) -> list[Term]:
    """One term for every source set and task.

    A row labelled for the task contributes G = λL + (1 - λ)H, any other row H (equation 10). In a set made for the
    task every row is labelled, so that its term is G_i (equation 8). Without shared annotations the other sets'
    labels are not used: equation 9.

    Args:
        tasks: the network's tasks.
        set_tasks: source set -> the tasks it was made for.
        batch: source set -> labels of its rows.
        student: source set -> task -> student logits.
        teacher: source set -> task -> teacher logits for the same images.
        config: λ (`hard_weight`), temperature and switches.
    """
    terms = []
    for source, labels in batch.items():
        for name, task in tasks.items():
            labelled = labels.labelled[name]
            if name not in set_tasks[source] and not config.shared_annotations:
                labelled = torch.zeros_like(labelled)
            logits = student[source][name]
            soft = task.soft_losses(logits, teacher[source][name], config.temperature)
            if config.temperature_squared:
                soft = soft * config.temperature**2
            sums = torch.cat(
                [
                    torch.stack([masked_sum(soft, labelled), labelled.double().sum()]),
                    torch.stack([masked_sum(soft, ~labelled), (~labelled).double().sum()]),
                    task.statistics(logits, labels.labels[name], labelled),
                ]
            )
            terms.append(Term(source, name, sums, _value(task, config)))
    return terms


def _value(task: Task, config: LossConfig) -> Callable[[Tensor], Tensor]:
    def value(sums: Tensor) -> Tensor:
        soft_labelled, num_labelled, soft_unlabelled, num_unlabelled = sums[:4]
        hard = task.supervised(sums[4:])
        group_labelled = config.hard_weight * hard + (1 - config.hard_weight) * ratio(soft_labelled, num_labelled)
        group_unlabelled = ratio(soft_unlabelled, num_unlabelled)
        if config.shared_weighting == "group_mean":
            num_labelled, num_unlabelled = num_labelled.clamp(max=1.0), num_unlabelled.clamp(max=1.0)
        weighted = num_labelled * group_labelled + num_unlabelled * group_unlabelled
        return weighted / (num_labelled + num_unlabelled)

    return value
