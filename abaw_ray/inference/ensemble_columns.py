"""What several teachers say, as columns of stored outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from abaw_ray.blocks.teacher_outputs import entropy_column
from abaw_ray.tasks.base import Task
from abaw_ray.teachers.ensemble import mean_entropy, mean_logits


def ensemble_columns(tasks: Mapping[str, Task], said: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Columns (n, width) of a block, from what each teacher says: task -> logits (n, outputs)."""
    if len(said) == 1:
        return dict(said[0])
    of_tasks = {name: [logits[name] for logits in said] for name in tasks}
    entropies = {entropy_column(name): mean_entropy(tasks[name], logits) for name, logits in of_tasks.items()}
    return {name: mean_logits(tasks[name], logits) for name, logits in of_tasks.items()} | entropies
