"""What is fitted on validation frames: what tasks' answers need, and calibration, on one of two parts of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from abaw_ray.evaluation.calibration import fit_calibration
from abaw_ray.evaluation.groups import first_part, groups_of
from abaw_ray.evaluation.predictions import DEVIATION, PREDICTED, Decisions, pairs, vectors
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import Task


@dataclass(frozen=True)
class Statements:
    """Labels beside what a network says of pictures; frames of videos without any picture are not among them.

    Args:
        labels: (n, size), NaN where a number is not known.
        predictions: (n, size).
        deviations: (n, size) of a regression; None: predictions are probabilities.
        place: (n,) int64 row of the table.
    """

    labels: np.ndarray
    predictions: np.ndarray
    deviations: np.ndarray | None
    place: np.ndarray

    def __len__(self) -> int:
        return len(self.place)

    def where(self, chosen: np.ndarray) -> Statements:
        """Those that (n,) bool names."""
        deviations = self.deviations[chosen] if self.deviations is not None else None
        return Statements(self.labels[chosen], self.predictions[chosen], deviations, self.place[chosen])


def statements(table: pa.Table, space: LabelSpace) -> Statements:
    """What a network says of the labelled frames that have a picture, be it that of a frame before.

    A frame without any has probabilities of zero and no deviation: what stands for a prediction there is not the
    network's. Of a regression whose table has no deviations there are none.
    """
    true, predicted = (vectors(table, f"{prefix}{space.name}") for prefix in ("", PREDICTED))
    deviations = None
    stated = np.isfinite(true).any(axis=1)
    if space.kind == "regression":
        column = f"{DEVIATION}{space.name}"
        deviations = vectors(table, column) if column in table.column_names else np.full_like(predicted, np.nan)
        stated &= np.isfinite(deviations).all(axis=1)
    else:
        stated &= (predicted > 0).any(axis=1)
    return Statements(true, predicted, deviations, np.arange(len(table))).where(stated)


def fit_decisions(table: pa.Table, tasks: Mapping[str, Task]) -> Decisions:
    """What the tasks' answers need, fitted on a table of validation frames.

    What a task itself needs (thresholds) is fitted on all frames; its calibration (see `calibration.fit_calibration`)
    on the first of two parts of their groups, so that it can be scored on the other.
    """
    fitted = {}
    group, names = groups_of(table)
    for name, task in tasks.items():
        true, predicted = pairs(table, name)
        if len(true):
            fitted[name] = {**task.fit_decision(true, predicted), **_fit_calibration(table, task.space, group, names)}
    return fitted


def _fit_calibration(
    table: pa.Table, space: LabelSpace, group: np.ndarray, names: Sequence[str]
) -> dict[str, list[float]]:
    found = statements(table, space)
    part = found.where(in_first_part(group[found.place], names))
    return fit_calibration(space, part.labels, part.predictions, part.deviations)


def in_first_part(group: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Which rows (n,) bool are in the first part of their groups; none if there is but one group.

    Args:
        group: (n,) place of each row's group among the names.
        names: of groups, among them those of the rows.
    """
    present, place = np.unique(group, return_inverse=True)
    if len(present) < 2:
        return np.zeros(len(group), bool)
    return first_part([names[g] for g in present])[place]
