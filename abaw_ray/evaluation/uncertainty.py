"""How uncertain several networks are of a prediction: in all, and how much of it is in the data or in the networks.

The entropy of the members' mean distribution is the total uncertainty, the mean of their entropies its aleatoric part,
which more members or more data do not take away; what is left, how far members disagree, is epistemic (Depeweg et al.,
ICML 2018; Deng, Wu, Shi, "Iterative distillation for better uncertainty estimates in multitask emotion recognition",
ICCVW 2021). Every entropy is divided by that of the uniform distribution, so that it is from 0 to 1 for any number of
classes. Groups are those of `tasks.soft.Distributions`: one of classes, one for each attribute, one over the 20 bins of
each dimension.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from torch import Tensor

from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import Task
from abaw_ray.teachers.ensemble import entropy_of_mean, mean_entropy

TOTAL, ALEATORIC, EPISTEMIC = MEASURES = ("total", "aleatoric", "epistemic")
"""The parts of an uncertainty, as keys and as beginnings of columns."""

OfTask = Mapping[str, np.ndarray]
"""Measure -> (n, groups) float32, NaN where nothing was said; of one network `total` alone."""


def uncertainty(task: Task, members: Sequence[Tensor]) -> dict[str, Tensor]:
    """Uncertainties of the mean of several networks, or of several passes of one that drops units.

    Args:
        task: whose logits they are.
        members: at least one; logits (batch, outputs) of the same rows.

    Returns:
        Measure -> (batch, groups) from 0 to 1; of one member the total alone, since nothing tells its parts apart.
    """
    num_classes = task.distributions(members[0][:1], 1.0).p.shape[-1]
    most = max(math.log2(num_classes), 1e-9)  # of one class every entropy is 0
    total = (entropy_of_mean(task, members) / most).clamp(0, 1)
    if len(members) == 1:
        return {TOTAL: total}
    aleatoric = (mean_entropy(task, members) / most).clamp(0, 1)
    return {TOTAL: total, ALEATORIC: aleatoric, EPISTEMIC: (total - aleatoric).clamp(min=0)}


def group_names(space: LabelSpace) -> tuple[str, ...]:
    """Names of the groups that a space's uncertainties are of: the space itself, or its attributes or dimensions."""
    return (space.name,) if space.kind == "multiclass" else space.names


def with_uncertainty(table: pa.Table, spaces: Sequence[LabelSpace], found: Mapping[str, OfTask]) -> pa.Table:
    """A prediction table with a column `<measure>_<task>` of the uncertainties of each task, behind all others.

    Args:
        table: of n frames.
        spaces: of the tasks, which say what a column's numbers are of (the field's metadata `names`).
        found: task -> measure -> (n, groups).
    """
    for space in spaces:
        names = group_names(space)
        for measure, values in found[space.name].items():
            field = pa.field(
                f"{measure}_{space.name}", pa.list_(pa.float32(), len(names)), metadata={"names": ",".join(names)}
            )
            flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
            table = table.append_column(field, pa.FixedSizeListArray.from_arrays(flat, len(names)))
    return table
