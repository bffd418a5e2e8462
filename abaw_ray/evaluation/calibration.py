"""Calibration of predictions: a temperature of probabilities and a scale of expected errors, fitted and applied.

Parameters stand in a task's decision (`tasks.base.Decision`) beside its thresholds: `temperature`, [T] of a multiclass
or multilabel task (Guo et al., ICML 2017, section 4.2), and `error_scale`, one number for each dimension of a
regression (Levi et al., "Evaluating and calibrating uncertainty prediction in regression tasks", 2019). A task without
them is taken as it is. NumPy only, and SciPy to fit: exported files are applied without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from abaw_ray.spaces import LabelSpace

TEMPERATURE, ERROR_SCALE = "temperature", "error_scale"
"""Keys of a decision."""

TEMPERATURES = (0.1, 10.0)
"""Least and greatest: predictions that are never wrong would take 0, useless ones infinity."""

ERROR_SCALES = (0.01, 100.0)
"""Least and greatest, for the same reason."""

MIN_ROWS = 10
"""With fewer nothing is fitted."""

LEAST_DEVIATION = 1e-3
"""Of the range: a network whose distribution is in one bin says 0, against which any error is infinitely large."""

_LEAST = float(np.finfo(np.float32).tiny)
_LEAST_COMPLEMENT = 2.0**-25  # half of what 1 - p is at least for a float32 p below 1


def calibrated(space: LabelSpace, prediction: np.ndarray, decision: Mapping[str, Any]) -> np.ndarray:
    """Calibrated predictions: softmax(logits / T) of classes, sigmoid(logits / T) of attributes, a regression's own.

    Args:
        space: what predictions say.
        prediction: (n, size) float32 as a network gives them, decoded: of classes and attributes probabilities.
        decision: the task's.

    Returns:
        (n, size) float32. What has no temperature comes back as it is.
    """
    if space.kind == "regression" or TEMPERATURE not in decision:
        return prediction
    (temperature,) = decision[TEMPERATURE]
    if space.kind == "multilabel":
        return _sigmoid(logits_of(prediction) / temperature).astype(np.float32)
    powers = _log(prediction) / temperature
    powers = np.exp(powers - powers.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def calibrated_thresholds(space: LabelSpace, decision: Mapping[str, Any]) -> list[float]:
    """Thresholds of calibrated probabilities that give the answers which the decision's give of raw ones.

    Args:
        space: of attributes.
        decision: the task's; `thresholds` are of raw probabilities, 0.5 where there are none.
    """
    thresholds = np.asarray(decision.get("thresholds", [0.5] * space.size), np.float32)
    return calibrated(space, thresholds[None], decision)[0].tolist()


def calibrated_deviation(deviation: np.ndarray, decision: Mapping[str, Any]) -> np.ndarray:
    """Deviations (n, dimensions) of a regression's predictions, each dimension times its scale: (n, dimensions)."""
    return (deviation * np.asarray(decision.get(ERROR_SCALE, 1.0))).astype(np.float32)


def fit_calibration(
    space: LabelSpace, labels: np.ndarray, predictions: np.ndarray, deviations: np.ndarray | None = None
) -> dict[str, list[float]]:
    """The parameters with the least negative log-likelihood; the same for any order of the rows.

    Args:
        space: what labels and predictions say.
        labels: (n, size), NaN where a number is not known; a distribution over classes counts with its shares.
        predictions: (n, size) of raw predictions.
        deviations: (n, size) of a regression's predictions.

    Returns:
        `temperature` or `error_scale`. Empty where nothing says what it is: fewer than 10 rows, predictions that are
        all the same, labels that are all of one class or all the same.
    """
    if len(labels) < MIN_ROWS:
        return {}
    if space.kind == "regression":
        assert deviations is not None, "a regression with deviations"
        return _error_scales(space, labels, predictions, deviations)
    of_kind = _of_classes if space.kind == "multiclass" else _of_attributes
    loss = of_kind(labels, predictions)
    if loss is None:
        return {}
    from scipy.optimize import minimize_scalar

    low, high = np.log(TEMPERATURES)
    # convex in 1 / T, so that there is one minimum
    found = minimize_scalar(lambda x: loss(np.exp(-x)), bounds=(low, high), method="bounded", options={"xatol": 1e-5})
    return {TEMPERATURE: [float(np.exp(found.x))]}


def parameters_of(decision: Mapping[str, Any]) -> dict[str, list[float]]:
    """The parameters of the calibration in a task's decision; empty: there are none."""
    return {key: decision[key] for key in (TEMPERATURE, ERROR_SCALE) if key in decision}


def check_parameters(space: LabelSpace, decision: Mapping[str, Any]) -> None:
    """That a decision's parameters are those of a space.

    Raises:
        ValueError: they are not; the message says what was expected.
    """
    of_space = ERROR_SCALE if space.kind == "regression" else TEMPERATURE
    size = space.size if space.kind == "regression" else 1
    for key in {TEMPERATURE, ERROR_SCALE} & decision.keys():
        values = decision[key]
        if key != of_space:
            raise ValueError(f"{key} of {space.name}, a {space.kind}; expected {of_space}")
        if len(values) != size or not all(np.isfinite(v) and v > 0 for v in values):
            raise ValueError(f"{key} {list(values)} of {space.name}; expected {size} positive")


def log_probabilities(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Logarithms (n, classes) of probabilities among the classes that each row's database has; -inf of the others.

    Args:
        labels: (n, classes), NaN of a class that the row's database does not have.
        predictions: (n, classes) probabilities of all classes.
    """
    values = np.where(np.isnan(labels), -np.inf, _log(predictions))
    values -= values.max(1, keepdims=True)
    return values - np.log(np.exp(values).sum(1, keepdims=True))


def logits_of(probability: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities of any shape, float64 and finite."""
    complement = 1.0 - probability.astype(np.float64)
    return _log(probability) - np.log(np.maximum(complement, _LEAST_COMPLEMENT))


def _of_classes(labels: np.ndarray, predictions: np.ndarray) -> Callable[[float], float] | None:
    """1 / T -> mean cross-entropy; None where it does not say what T is."""
    logits, has = log_probabilities(labels, predictions), np.isfinite(labels)
    shares = np.where(has, labels, 0.0)
    if not np.ptp(np.where(has, labels, -1.0).argmax(1)) or not np.ptp(predictions, axis=0).any():
        return None
    logits -= logits.max(1, keepdims=True)
    expected = float((shares * np.where(has, logits, 0.0)).sum(1).mean())

    def loss(inverse: float) -> float:
        return float(np.log(np.exp(logits * inverse).sum(1)).mean()) - inverse * expected

    return loss


def _of_attributes(labels: np.ndarray, predictions: np.ndarray) -> Callable[[float], float] | None:
    """1 / T -> mean over the known attributes of their mean binary cross-entropy; None where it says nothing of T."""
    known = np.isfinite(labels)
    present = labels[known].astype(np.float64)
    if not len(present) or not np.ptp(present) or not np.ptp(predictions, axis=0).any():
        return None
    logits = logits_of(predictions[known])
    num_known = known.sum(0)
    weight = np.broadcast_to(1.0 / (np.maximum(num_known, 1) * (num_known > 0).sum()), labels.shape)[known]

    def loss(inverse: float) -> float:
        scaled = logits * inverse
        return float(weight @ (np.logaddexp(0.0, scaled) - present * scaled))

    return loss


def _error_scales(
    space: LabelSpace, labels: np.ndarray, predictions: np.ndarray, deviations: np.ndarray
) -> dict[str, list[float]]:
    """Root of the mean squared error in deviations, dimension by dimension; 1 where few rows have the dimension."""
    least = LEAST_DEVIATION * (space.high - space.low)
    ratios = (labels.astype(np.float64) - predictions) / np.maximum(deviations, least)
    known = np.isfinite(ratios)
    fitted = known.sum(0) >= MIN_ROWS
    if not fitted.any():
        return {}
    scales = np.sqrt(np.where(known, ratios**2, 0.0).sum(0) / np.maximum(known.sum(0), 1))
    return {ERROR_SCALE: np.where(fitted, np.clip(scales, *ERROR_SCALES), 1.0).tolist()}


def _log(probability: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probability, _LEAST, dtype=np.float64))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -logits))
