"""The part of an evaluation's report about uncertainty: its measures, and the risk of answers that it orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from abaw_ray.evaluation.fitting import statements
from abaw_ray.evaluation.predictions import Decisions
from abaw_ray.evaluation.selective import RiskCoverage, answer_losses, risk_coverage
from abaw_ray.evaluation.uncertain_networks import FoundUncertainty, UncertaintySettings
from abaw_ray.evaluation.uncertainty import OfTask
from abaw_ray.tasks.base import Task


def risk_curves(
    table: pa.Table, tasks: Mapping[str, Task], decisions: Decisions, of_frames: Mapping[str, OfTask]
) -> dict[str, dict[str, RiskCoverage]]:
    """Task -> measure -> risk against coverage of the answers of a prediction table, and `best`, the least possible.

    Frames with a label and a picture count; a task without any is left out. The measure of a frame is the mean over
    its groups.
    """
    found = {}
    for name, task in tasks.items():
        said = statements(table, task.space)
        if len(said):
            losses = answer_losses(task, said.labels, said.predictions, decisions.get(name, {}))
            curves = {m: risk_coverage(losses, values[said.place].mean(1)) for m, values in of_frames[name].items()}
            found[name] = {**curves, "best": risk_coverage(losses, losses)}
    return found


def uncertainty_section(
    found: FoundUncertainty, curves: Mapping[str, Mapping[str, RiskCoverage]], settings: UncertaintySettings
) -> dict[str, Any]:
    """For JSON.

    Returns:
        `passes`; `mean` uncertainty by task and measure; `num_frames_of` each set of images; `auroc` by task, set and
        measure; `risk_coverage` by task: `num_frames`, `risk` of all answers, and by measure and for `best`, the least
        possible, see `RiskCoverage.to_dict`; `mean_of_passes`: scores and calibration, where there are several.
    """
    means = {
        task: {m: float(np.nanmean(values)) for m, values in of.items() if np.isfinite(values).any()}
        for task, of in found.of_frames.items()
    }
    risks = {}
    for task, of in curves.items():
        losses = of["best"].risk
        risks[task] = {"num_frames": len(losses), "risk": float(losses[-1]), **{m: c.to_dict() for m, c in of.items()}}
    section = {
        "passes": settings.num_passes,
        "mean": means,
        "num_frames_of": found.num_frames_of,
        "auroc": found.auroc,
        "risk_coverage": risks,
    }
    return section if found.mean is None else section | {"mean_of_passes": found.mean}
