"""The numbers that tasks are scored by (Vu et al., section 4.2). NumPy only.

All are over all frames given, of all videos together, never a mean over videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def confusion_matrix(target: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """How often each class was taken for each.

    Args:
        target: (n,) true class ids, from 0.
        prediction: (n,) predicted class ids, from 0.
        num_classes: how many there are.

    Returns:
        (num_classes, num_classes) int64; rows are the true classes.

    Raises:
        ValueError: a class id out of range.
    """
    for classes in (target, prediction):
        if len(classes) and (classes.min() < 0 or classes.max() >= num_classes):
            raise ValueError(f"class ids from {classes.min()} to {classes.max()}, expected 0-{num_classes - 1}")
    cells = target.astype(np.int64) * num_classes + prediction
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def class_scores(target: np.ndarray, prediction: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """`matrix_scores` of true and predicted class ids, each (n,)."""
    return matrix_scores(confusion_matrix(target, prediction, len(names)), names)


def matrix_scores(matrix: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Scores of a confusion matrix (classes, classes), rows the true classes.

    Returns:
        `macro_f1`, always the mean over all classes (a class that is neither true nor predicted anywhere counts 0);
        `accuracy`; `f1` by class name; `num_frames`.

    Raises:
        ValueError: no frames.
    """
    num_frames = int(matrix.sum())
    if num_frames == 0:
        raise ValueError("no frames to score")
    num_true_and_predicted = matrix.sum(0) + matrix.sum(1)
    f1 = 2.0 * matrix.diagonal() / np.maximum(num_true_and_predicted, 1)
    return {
        "macro_f1": float(f1.mean()),
        "accuracy": float(matrix.trace() / num_frames),
        "f1": dict(zip(names, f1.tolist(), strict=True)),
        "num_frames": num_frames,
    }


def ccc(target: np.ndarray, prediction: np.ndarray) -> float:
    """Concordance correlation coefficient with population variances: 2 cov / (var + var + (difference of means)²).

    Args:
        target: (n,) true values.
        prediction: (n,) predicted values.

    Returns:
        In [-1, 1]; 0 when either side is constant.
    """
    if np.ptp(target) == 0 or np.ptp(prediction) == 0:
        return 0.0
    x, y = target.astype(np.float64), prediction.astype(np.float64)
    dx, dy = x - x.mean(), y - y.mean()
    denominator = (dx * dx).mean() + (dy * dy).mean() + (x.mean() - y.mean()) ** 2
    if denominator == 0:  # differences so small that their squares vanish
        return 0.0
    return float(np.clip(2.0 * (dx * dy).mean() / denominator, -1.0, 1.0))


def rmse(target: np.ndarray, prediction: np.ndarray) -> float:
    """Root mean square error of (n,) values."""
    return float(np.sqrt(np.mean((target.astype(np.float64) - prediction) ** 2)))


def regression_scores(target: np.ndarray, prediction: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Scores of true and predicted values (n, dimensions); NaN where a true one is not known.

    Returns:
        `ccc_<name>` and `rmse_<name>` of each dimension that is known anywhere, `ccc_mean`, `num_frames`.

    Raises:
        ValueError: no frames.
    """
    if len(target) == 0:
        raise ValueError("no frames to score")
    scores: dict[str, Any] = {}
    cccs = []
    for d, name in enumerate(names):
        known = np.isfinite(target[:, d])
        if known.any():
            scores[f"ccc_{name}"] = ccc(target[known, d], prediction[known, d])
            scores[f"rmse_{name}"] = rmse(target[known, d], prediction[known, d])
            cccs.append(scores[f"ccc_{name}"])
    scores["ccc_mean"] = sum(cccs) / len(cccs)
    scores["num_frames"] = len(target)
    return scores


def mean_absolute_errors(target: np.ndarray, prediction: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """`mae_<name>` of each dimension that is known anywhere, of true and predicted values (n, dimensions)."""
    errors = np.abs(target.astype(np.float64) - prediction)
    known = np.isfinite(errors)
    return {f"mae_{name}": float(errors[known[:, d], d].mean()) for d, name in enumerate(names) if known[:, d].any()}


def class_chance(target: np.ndarray, num_classes: int) -> tuple[dict[str, float], dict[str, float]]:
    """`macro_f1` and `accuracy` without looking at the images, of two predictors.

    Args:
        target: (n,) true class ids, at least one.
        num_classes: how many there are.

    Returns:
        Of always the most frequent class, and of a class at random, all equally likely (exact expectation).
    """
    matrix = confusion_matrix(target, np.full_like(target, np.bincount(target).argmax()), num_classes)
    majority = matrix_scores(matrix, [str(k) for k in range(num_classes)])
    counts = np.bincount(target, minlength=num_classes)
    random_f1 = float(np.mean([_expected_random_f1(int(c), len(target), num_classes) for c in counts]))
    return (
        {"macro_f1": majority["macro_f1"], "accuracy": majority["accuracy"]},
        {"macro_f1": random_f1, "accuracy": 1.0 / num_classes},
    )


def binary_f1(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """F1 of each column of (n, k) bool; 0 where nothing is true or predicted. (k,) float64."""
    num_true_and_predicted = target.sum(0) + prediction.sum(0)
    return 2.0 * (target & prediction).sum(0) / np.maximum(num_true_and_predicted, 1)


def best_threshold(target: np.ndarray, probability: np.ndarray) -> float:
    """The threshold t at which `probability >= t` has the greatest F1; the largest one if several have.

    Args:
        target: (n,) bool.
        probability: (n,) finite.

    Returns:
        One of the probabilities; 0.5 if nothing is true.
    """
    if not target.any():
        return 0.5
    order = np.argsort(-probability, kind="stable")
    sorted_probability = probability[order]
    num_predicted = np.arange(1, len(order) + 1)
    f1 = 2.0 * np.cumsum(target[order]) / (num_predicted + target.sum())
    f1[:-1][sorted_probability[:-1] == sorted_probability[1:]] = -1.0  # a threshold cannot part equals
    return float(sorted_probability[f1.argmax()])


def balanced_threshold(target: np.ndarray, probability: np.ndarray) -> float:
    """The threshold t at which precision is recall: `probability >= t` is true as often as the target, or nearly so.

    Args:
        target: (n,) bool.
        probability: (n,) finite.

    Returns:
        One of the probabilities, of two that are as near the larger; 0.5 if nothing is true.
    """
    if not target.any():
        return 0.5
    thresholds, counts = np.unique(-probability, return_counts=True)
    return float(-thresholds[np.abs(np.cumsum(counts) - target.sum()).argmin()])


def average_precision(target: np.ndarray, probability: np.ndarray) -> float | None:
    """Mean over the true of the precision among all that are at least as probable: sum of P (R - previous R).

    It is scikit-learn's `average_precision_score`.

    Args:
        target: (n,) bool.
        probability: (n,) finite.

    Returns:
        In (0, 1], the share of the true if all are equally probable; None: nothing is true.
    """
    if not target.any():
        return None
    order = np.argsort(-probability, kind="stable")
    last = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)  # of those that are equal
    num_right = np.cumsum(target[order])[last]
    return float((num_right / (last + 1)) @ np.diff(num_right, prepend=0) / num_right[-1])


def weighted_average_precisions(target: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`average_precision` of rows that count several times, or not at all, for several such weights at once.

    Args:
        target: (n,) bool.
        probability: (n,) finite.
        weights: (n, draws), not negative.

    Returns:
        (draws,) float64; NaN where nothing is true.
    """
    order = np.argsort(-probability, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)  # of those that are equal
    true = np.flatnonzero(target[order])
    if not len(true):
        return np.full(weights.shape[1], np.nan)
    equals = np.searchsorted(ends, true)
    counts = weights[order]
    of_true = counts[true]
    num_answered = np.cumsum(counts, axis=0, out=counts)[ends[equals]]
    num_right = np.cumsum(of_true, axis=0)
    precision = num_right[np.searchsorted(equals, equals, side="right") - 1] / np.where(num_answered, num_answered, 1.0)
    with np.errstate(invalid="ignore"):
        return (of_true * precision).sum(0) / num_right[-1]


def jaccard(target: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """Of each row what is both true and answered / what is either, (n,) float64 of (n, k) bool; 1 where nothing is."""
    either = (target | answered).sum(1)
    return np.where(either == 0, 1.0, (target & answered).sum(1) / np.maximum(either, 1))


def _expected_random_f1(count: int, num_frames: int, num_classes: int) -> float:
    """Expected F1 of a class of `count` frames among `num_frames` when every frame gets one of all classes at random.

    Of P frames given the class, count / num_frames are right on average, so F1 = 2 (count / num_frames) P / (count + P)
    on average; P is binomial.
    """
    if count == 0:
        return 0.0
    predicted = np.arange(num_frames + 1)
    log_odds = -np.log(num_classes - 1.0)
    log_ratios = np.log((num_frames - predicted[1:] + 1) / predicted[1:]) + log_odds
    log_probability = np.concatenate([[0.0], np.cumsum(log_ratios)])
    probability = np.exp(log_probability - log_probability.max())
    probability /= probability.sum()
    return float(2.0 * count / num_frames * (probability @ (predicted / (count + predicted))))
