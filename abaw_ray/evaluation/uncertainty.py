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
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from abaw_ray.inference.answers import entropy
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import Task
from abaw_ray.teachers.ensemble import mean_entropy

TOTAL, ALEATORIC, EPISTEMIC = MEASURES = ("total", "aleatoric", "epistemic")
"""The parts of an uncertainty, as keys and as beginnings of columns."""

OfTask = Mapping[str, np.ndarray]
"""Measure -> (n, groups) float32, NaN where nothing was said; of one network `total` alone."""


@dataclass(frozen=True)
class Mixture:
    """What members, which are networks or passes of one that drops units, say together of one task.

    Args:
        p: (n, groups, classes) float32 the mean of their distributions.
        entropy: (n, groups) float32 the mean of their entropies in bits.
        num_members: at least 1.
    """

    p: np.ndarray
    entropy: np.ndarray
    num_members: int

    def __len__(self) -> int:
        return len(self.p)

    def uncertainty(self) -> OfTask:
        """Measure -> (n, groups) float32 from 0 to 1; of one member the total alone, as nothing tells its parts
        apart."""
        total = np.clip(entropy(self.p), 0, 1)
        if self.num_members == 1:
            return {TOTAL: total}
        most = max(math.log2(self.p.shape[-1]), 1e-9)  # of one class every entropy is 0
        aleatoric = np.clip(self.entropy / most, 0, 1)
        return {TOTAL: total, ALEATORIC: aleatoric, EPISTEMIC: np.maximum(total - aleatoric, 0)}


def mean_distribution(task: Task, members: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The first two of what a `Mixture` has, on the members' device.

    Args:
        task: whose logits they are.
        members: at least one; logits (n, outputs) of the same rows.
    """
    p = torch.stack([task.distributions(logits, 1.0).p for logits in members]).mean(0)
    return p, mean_entropy(task, members)


def joined(parts: Sequence[Mixture], weights: Sequence[float] | None = None) -> Mixture:
    """The mixture of all members of several, which are of the same frames.

    Args:
        parts: at least one.
        weights: of each part, 1 in sum; None: equal ones.
    """
    p, entropy = (np.average([getattr(m, of) for m in parts], 0, weights) for of in ("p", "entropy"))
    return Mixture(p.astype(np.float32), entropy.astype(np.float32), sum(m.num_members for m in parts))


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
            kind = pa.list_(pa.float32(), len(names))
            field = pa.field(f"{measure}_{space.name}", kind, metadata={"names": ",".join(names)})
            flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
            table = table.append_column(field, pa.FixedSizeListArray.from_arrays(flat, len(names)))
    return table
