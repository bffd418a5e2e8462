"""Calibration before and after, of frames that its parameters were not fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from abaw_ray.evaluation.calibration import parameters_of
from abaw_ray.evaluation.calibration_scores import CalibrationScores, calibration_scores, mean_of_columns
from abaw_ray.evaluation.fitting import in_first_part, statements
from abaw_ray.evaluation.groups import groups_of
from abaw_ray.evaluation.intervals import Resampling, interval
from abaw_ray.evaluation.predictions import Decisions, labelled
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import Task
from abaw_ray.tasks.sums import group_sums


@dataclass(frozen=True)
class Calibration:
    """Of one task.

    Args:
        space: its labels'.
        parameters: that were applied; empty: none were fitted.
        num_fit: frames that they were fitted on here; 0: elsewhere, or there are none.
        num_left_out: frames with a label and no picture, of which the network says nothing.
        before: scores of raw predictions.
        after: scores of calibrated ones, of the same frames.
        group: (scored frames,) int64 group of each.
    """

    space: LabelSpace
    parameters: Mapping[str, list[float]]
    num_fit: int
    num_left_out: int
    before: CalibrationScores
    after: CalibrationScores
    group: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """For JSON: parameters, numbers before and after with their intervals, reliability."""
        both = {"before": self.before, "after": self.after}
        return {
            "parameters": dict(self.parameters),
            "num_fit": self.num_fit,
            "num_scored": len(self.group),
            "num_left_out": self.num_left_out,
            **{when: scores.numbers() for when, scores in both.items()},
            "reliability": {when: scores.reliability.to_dict() for when, scores in both.items()},
            "intervals": self._intervals(both) if len(np.unique(self.group)) > 1 else {},
        }

    def _intervals(self, both: Mapping[str, CalibrationScores]) -> dict[str, Any]:
        """Before and after -> number -> [low, high]; an error over bins is no sum over frames, and has none."""
        draws = Resampling(self.group)
        found: dict[str, Any] = {}
        for when, scores in both.items():
            found[when] = {}
            for name, losses in scores.losses.items():
                known = np.isfinite(losses)
                sums = (group_sums(v, draws.part, draws.num_parts) for v in (known, np.where(known, losses, 0.0)))
                found[when][name] = interval(mean_of_columns(*(draws.sums(values) for values in sums)))
        return found


def calibrations(
    table: pa.Table, tasks: Mapping[str, Task], decisions: Decisions, fitted_here: bool
) -> dict[str, Calibration]:
    """The calibration of each task that frames with a picture have a label of, over all databases' frames.

    Args:
        table: of predictions.
        tasks: that were predicted.
        decisions: of the tasks, with the parameters of their calibration.
        fitted_here: on the first part of these frames (see `fitting.fit_decisions`): scores are then of the other
            part, else of all frames.
    """
    group, names = groups_of(table)
    found = {}
    for name, task in tasks.items():
        said = statements(table, task.space)
        if not len(said):
            continue
        num_left_out = int(labelled(table, name).sum()) - len(said)
        parameters = parameters_of(decisions.get(name, {}))
        fitted = in_first_part(group[said.place], names) & (fitted_here and bool(parameters))
        scored = said.where(~fitted)
        before, after = (
            calibration_scores(task.space, scored.labels, scored.predictions, scored.deviations, of)
            for of in ({}, parameters)
        )
        of_scored = group[scored.place]
        found[name] = Calibration(task.space, parameters, int(fitted.sum()), num_left_out, before, after, of_scored)
    return found
