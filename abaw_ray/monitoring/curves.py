"""Curves of predictions that are probabilities: precision against recall class by class, and reliability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from abaw_ray.evaluation.predictions import pairs
from abaw_ray.evaluation.reliability import Reliability, reliability
from abaw_ray.monitoring.tags import MAX_CLASSES
from abaw_ray.palette import colour
from abaw_ray.tasks.base import Task


def precision_recall(table: pa.Table, tasks: Mapping[str, Task]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """`<task>/<class>` -> whether frames are of it (n,) bool, and its probability (n,), where both are known.

    Each attribute, and each class against all others, that is true in some frame; of tasks with at most `MAX_CLASSES`.

    Args:
        table: of `prediction_schema`.
        tasks: whose predictions are in it.
    """
    found = {}
    for task in with_probabilities(table, tasks):
        true, predicted = pairs(table, task.space.name)
        if task.space.size <= MAX_CLASSES:
            is_true = true > 0.5 if task.space.kind == "multilabel" else _one_hot(true)
            for place, name in enumerate(task.space.names):
                known = np.isfinite(true[:, place])
                if is_true[known, place].any():
                    found[f"{task.space.name}/{name}"] = is_true[known, place], predicted[known, place]
    return found


def reliability_of(table: pa.Table, task: Task) -> Reliability:
    """How often the answers of a task are right, by their probability.

    Of classes the answer is the most probable one among those that the frame's database has; of attributes it is that
    one is present, all that are known together.

    Args:
        table: of `prediction_schema`, with a label of the task.
        task: whose predictions are probabilities.
    """
    true, predicted = pairs(table, task.space.name)
    has = np.isfinite(true)
    if task.space.kind == "multilabel":
        return reliability(predicted[has], true[has] > 0.5)
    among = np.where(has, predicted, 0.0)
    among /= np.maximum(among.sum(1, keepdims=True), 1e-12)
    right = np.where(has, true, -1.0).argmax(1) == np.where(has, predicted, -1.0).argmax(1)
    return reliability(among.max(1), right)


def reliability_figure(found: Reliability, title: str) -> Figure:
    """Accuracy against confidence, bin by bin; on the diagonal both are the same."""
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--")
    axes.plot(found.confidence, found.accuracy, color=colour(0), marker="o", linewidth=2)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("probability", fontsize=13)
    axes.set_ylabel("share that is right", fontsize=13)
    axes.tick_params(labelsize=12)
    axes.set_title(f"{title}\nECE {found.ece:.3f}", fontsize=14)
    return figure


def with_probabilities(table: pa.Table, tasks: Mapping[str, Task]) -> Iterator[Task]:
    """The tasks whose predictions are probabilities and that some frame of a table has a label of."""
    for name, task in tasks.items():
        if task.space.kind != "regression" and len(pairs(table, name)[0]):
            yield task


def _one_hot(true: np.ndarray) -> np.ndarray:
    """The most probable class of labels (n, classes): (n, classes) bool."""
    return np.nan_to_num(true).argmax(1)[:, None] == np.arange(true.shape[1])
