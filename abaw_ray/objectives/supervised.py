"""The teacher's objective (equation 7): each head learns from the sets that were made for its task."""

from __future__ import annotations

from collections.abc import Mapping

from abaw_ray.objectives.terms import Outputs, SetLabels, Term
from abaw_ray.tasks.base import Task


def supervised_terms(
    tasks: Mapping[str, Task],
    set_tasks: Mapping[str, tuple[str, ...]],
    batch: Mapping[str, SetLabels],
    outputs: Outputs,
) -> list[Term]:
    """L_i of every source set i (equations 1-3). Shared annotations play no part.

    Args:
        tasks: the network's tasks.
        set_tasks: source set -> the tasks it was made for.
        batch: source set -> labels of its rows.
        outputs: source set -> task -> logits.
    """
    terms = []
    for source, labels in batch.items():
        for name in set_tasks[source]:
            task = tasks[name]
            sums = task.statistics(outputs[source][name], labels.labels[name], labels.labelled[name])
            terms.append(Term(source, name, sums, task.supervised))
    return terms
