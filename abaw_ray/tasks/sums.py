"""Scores from sums over frames, group by group: what resampling whole groups of frames needs. NumPy only.

A task gives each group's sums (`Summed.score_sums`); those of any choice of groups add up to the choice's scores
(`Summed.scores_of_sums`), with which `score` agrees for all groups together. What follows from no sums a task may give
of frames that are drawn several times (`Weighed`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from abaw_ray.tasks.base import Decision

Scores = dict[str, Any]
"""Keys as in `Task.score`'s result -> (...) float64, or names -> (...); the number of frames is not among them."""


LEAST_VARIANCE = 1e-14
"""Of the squared range: below it values are all the same, but for the rounding of their sums."""


@runtime_checkable
class Summed(Protocol):
    """A task whose scores follow from sums over frames."""

    def score_sums(
        self, target: np.ndarray, prediction: np.ndarray, decision: Decision, group: np.ndarray, num_groups: int
    ) -> np.ndarray:
        """Sums (num_groups, sums) float64 over the frames of each group.

        Args:
            target: (n, size) labels.
            prediction: (n, size).
            decision: as of `Task.score`.
            group: (n,) of each frame, from 0.
            num_groups: how many there are; some may have no frame.
        """
        ...

    def scores_of_sums(self, sums: np.ndarray) -> Scores:
        """Scores of frames whose sums are (..., sums), those of `score` that follow; NaN where there is no frame."""
        ...


@runtime_checkable
class Weighed(Protocol):
    """A task some of whose scores follow from no sums, but from all frames, each as often as it was drawn."""

    def scores_of_weights(
        self, target: np.ndarray, prediction: np.ndarray, decision: Decision, weights: np.ndarray
    ) -> Scores:
        """Those scores of frames that count as often as weights say; NaN where there is no frame to score.

        Args:
            target, prediction, decision: as of `Task.score`.
            weights: (n, draws) float64, not negative.
        """
        ...


def group_sums(values: np.ndarray, group: np.ndarray, num_groups: int) -> np.ndarray:
    """Sums (num_groups, k) float64 of the rows (n, k) of each group."""
    columns = [np.bincount(group, column, num_groups) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.zeros((num_groups, 0))


def class_sums(
    target: np.ndarray, prediction: np.ndarray, has: np.ndarray, group: np.ndarray, num_groups: int
) -> np.ndarray:
    """Sums (num_groups, 4 * classes) over frames.

    For each class those that are of it and taken for it, that are of it, that are taken for it, whose database has it.

    Args:
        target: (n,) true class ids.
        prediction: (n,) predicted class ids.
        has: (n, classes) bool, whether a frame's database has a class.
        group: (n,) of each frame.
        num_groups: how many there are.
    """
    num_classes = has.shape[1]

    def counts(of: np.ndarray, classes: np.ndarray) -> np.ndarray:
        cells = np.bincount(group[of] * num_classes + classes[of], minlength=num_groups * num_classes)
        return cells.reshape(num_groups, num_classes)

    everywhere = np.ones(len(group), bool)
    counted = (counts(target == prediction, target), counts(everywhere, target), counts(everywhere, prediction))
    return np.concatenate([*counted, group_sums(has, group, num_groups)], axis=1)


def scores_of_class_sums(sums: np.ndarray, names: Sequence[str]) -> Scores:
    """`macro_f1` over the classes that a frame's database has, `accuracy`, and `f1` by class, of `class_sums`."""
    hits, true, predicted, having = np.split(sums, 4, axis=-1)
    f1 = 2.0 * hits / np.maximum(true + predicted, 1)
    counts = having > 0
    with np.errstate(invalid="ignore"):
        return {
            "macro_f1": np.where(counts, f1, 0.0).sum(-1) / counts.sum(-1),
            "accuracy": hits.sum(-1) / true.sum(-1),
            "f1": _by_name(np.where(counts, f1, np.nan), names),
        }


def attribute_sums(
    target: np.ndarray, answered: np.ndarray, at_half: np.ndarray, group: np.ndarray, num_groups: int
) -> np.ndarray:
    """Sums (num_groups, 7 * attributes) over frames.

    For each attribute the frames where it is known, present, right; then, for both answers, present and answered so,
    and answered present.

    Args:
        target: (n, attributes) labels, NaN where not known.
        answered: (n, attributes) bool.
        at_half: (n, attributes) bool: another answer.
        group: (n,) of each frame.
        num_groups: how many there are.
    """
    known, present = np.isfinite(target), target > 0.5
    counted = [known, present, known & (present == answered)]
    for answer in (answered, at_half):
        counted += [present & answer, known & answer]
    return np.concatenate([group_sums(values, group, num_groups) for values in counted], axis=1)


def scores_of_attribute_sums(sums: np.ndarray, names: Sequence[str]) -> Scores:
    """`macro_f1`, `accuracy`, `f1` by attribute and `macro_f1_at_half` of `attribute_sums`."""
    known, present, right, *answers = np.split(sums, 7, axis=-1)
    f1, at_half = (2.0 * hits / np.maximum(present + said, 1) for hits, said in (answers[:2], answers[2:]))
    counts = known > 0
    with np.errstate(invalid="ignore"):
        macro, macro_at_half = (np.where(counts, v, 0.0).sum(-1) / counts.sum(-1) for v in (f1, at_half))
        accuracy = right.sum(-1) / known.sum(-1)
    by_name = _by_name(np.where(counts, f1, np.nan), names)
    return {"macro_f1": macro, "accuracy": accuracy, "f1": by_name, "macro_f1_at_half": macro_at_half}


def value_sums(
    target: np.ndarray, prediction: np.ndarray, origin: float, group: np.ndarray, num_groups: int
) -> np.ndarray:
    """Sums (num_groups, 8 * dimensions) over frames.

    For each dimension, over the frames where it is known: 1, x, y, x², y², xy, (x - y)², |x - y| of labels x and
    predictions y.

    Args:
        target: (n, dimensions), NaN where not known.
        prediction: (n, dimensions).
        origin: what values are counted from: squares are more precise about the middle of their range.
        group: (n,) of each frame.
        num_groups: how many there are.
    """
    known = np.isfinite(target)
    x, y = (np.where(known, values.astype(np.float64) - origin, 0.0) for values in (target, prediction))
    counted = (known, x, y, x * x, y * y, x * y, (x - y) ** 2, np.abs(x - y))
    return np.concatenate([group_sums(values, group, num_groups) for values in counted], axis=1)


def scores_of_value_sums(sums: np.ndarray, names: Sequence[str], least_variance: float) -> Scores:
    """`ccc_<name>`, `rmse_<name>`, `mae_<name>` of the dimensions that are known anywhere, and `ccc_mean`.

    Args:
        sums: `value_sums`.
        names: of the dimensions.
        least_variance: below it values are all the same, but for the sums' rounding: their CCC is 0.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        n, *rest = np.split(sums, 8, axis=-1)
        x, y, xx, yy, xy, squares, sizes = (part / n for part in rest)
        variances, covariance = (xx - x**2, yy - y**2), xy - x * y
        ccc = np.clip(2.0 * covariance / (variances[0] + variances[1] + (x - y) ** 2), -1.0, 1.0)
    ccc = np.where(np.minimum(*variances) < least_variance, 0.0, ccc)
    ccc = np.where(n > 0, ccc, np.nan)
    scores: Scores = {}
    for key, values in (("ccc", ccc), ("rmse", np.sqrt(squares)), ("mae", sizes)):
        scores |= {f"{key}_{name}": values[..., d] for d, name in enumerate(names) if (n[..., d] > 0).any()}
    num_known = (n > 0).sum(-1)
    with np.errstate(invalid="ignore"):
        scores["ccc_mean"] = np.where(n > 0, ccc, 0.0).sum(-1) / num_known
    return scores


def _by_name(values: np.ndarray, names: Sequence[str]) -> Mapping[str, np.ndarray]:
    """Name -> (...) of values (..., names), of those that are a number anywhere."""
    return {name: values[..., k] for k, name in enumerate(names) if np.isfinite(values[..., k]).any()}
