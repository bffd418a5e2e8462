"""Precision against recall of predictions that are probabilities, class by class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from abaw_ray.evaluation.predictions import pairs
from abaw_ray.monitoring.tags import MAX_CLASSES
from abaw_ray.tasks.base import Task


def precision_recall(table: pa.Table, tasks: Mapping[str, Task]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """`<task>/<class>` -> whether frames are of it (n,) bool, and its probability (n,), where both are known.

    Each attribute, and each class against all others, that is true in some frame; of tasks with at most `MAX_CLASSES`.

    Args:
        table: of predictions (see `predictions.prediction_schema`).
        tasks: that were predicted.
    """
    found = {}
    for name, task in tasks.items():
        if task.space.kind == "regression" or task.space.size > MAX_CLASSES:
            continue
        true, probability = pairs(table, name)
        is_true = true > 0.5 if task.space.kind == "multilabel" else _most_probable(true)
        for place, one in enumerate(task.space.names):
            known = np.isfinite(true[:, place])
            if is_true[known, place].any():
                found[f"{name}/{one}"] = is_true[known, place], probability[known, place]
    return found


def _most_probable(true: np.ndarray) -> np.ndarray:
    """Whether each class is the most probable one of labels (n, classes): (n, classes) bool."""
    return np.nan_to_num(true).argmax(1)[:, None] == np.arange(true.shape[1])
