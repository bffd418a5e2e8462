"""How far what a network says of itself holds: proper scores row by row, and calibration errors.

Of probabilities the negative log-likelihood, the Brier score (the squared distance from the label, Brier 1950) and the
expected calibration error. Of a regression, whose predictions stand for normal distributions, the likelihood; the
continuous ranked probability score in the place of Brier's (Gneiting & Raftery, JASA 2007, equation 21); and how far
the shares of labels within central intervals are from what the intervals promise (Kuleshov et al., ICML 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import erf

from abaw_ray.evaluation.calibration import (
    LEAST_DEVIATION,
    calibrated,
    calibrated_deviation,
    log_probabilities,
    logits_of,
)
from abaw_ray.evaluation.reliability import Reliability, reliability
from abaw_ray.spaces import LabelSpace

LEVELS = np.arange(1, 20) / 20
"""Central intervals of a regression that are looked at: those that promise 5 %, 10 %, ... 95 % of the labels."""


@dataclass(frozen=True)
class CalibrationScores:
    """Of one task.

    Args:
        losses: `nll`, and `brier` or `crps` -> (n, columns) float64 row by row, NaN where a label is not known. Classes
            have one column, attributes and dimensions one each; a score is the mean over columns of each one's mean.
        reliability: of all columns together: confidence of the most probable class and share that is right; probability
            that an attribute is present and share that is; promised and observed share of labels within intervals.
        by_column: reliability of each dimension of a regression, whose mean error is `ece`; else of all.
        stated: (m,) float64 of each known label how sure the network was: what is on the horizontal axis of
            `reliability`; of a regression the narrowest central interval that the label lies in.
    """

    losses: Mapping[str, np.ndarray]
    reliability: Reliability
    by_column: tuple[Reliability, ...]
    stated: np.ndarray

    def numbers(self) -> dict[str, float]:
        """`nll`, `brier` or `crps`, and `ece`."""
        numbers = {
            name: float(mean_of_columns(np.isfinite(values).sum(0), np.nansum(values, axis=0)))
            for name, values in self.losses.items()
        }
        return numbers | {"ece": float(np.mean([found.ece for found in self.by_column]))}


def mean_of_columns(count: np.ndarray, total: np.ndarray) -> np.ndarray:
    """The mean over columns of each one's mean (...), from counts and sums (..., columns); of those with a count."""
    known = count > 0
    means = np.where(known, total / np.maximum(count, 1), 0.0)
    return means.sum(-1) / known.sum(-1)


def calibration_scores(
    space: LabelSpace,
    labels: np.ndarray,
    predictions: np.ndarray,
    deviations: np.ndarray | None,
    parameters: Mapping[str, Any],
) -> CalibrationScores:
    """Scores of predictions after calibration.

    Args:
        space: what labels and predictions say.
        labels: (n, size), n > 0, NaN where a number is not known; a class that a row's database does not have gets no
            probability.
        predictions: (n, size), raw.
        deviations: (n, size) of a regression's predictions.
        parameters: of the calibration (see `calibration.fit_calibration`); empty: as they are.
    """
    predictions = calibrated(space, predictions, parameters)
    if space.kind == "regression":
        assert deviations is not None, "a regression with deviations"
        return _of_values(space, labels, predictions, calibrated_deviation(deviations, parameters))
    of_kind: Callable[..., CalibrationScores] = _of_classes if space.kind == "multiclass" else _of_attributes
    return of_kind(labels, predictions)


def _of_classes(labels: np.ndarray, predictions: np.ndarray) -> CalibrationScores:
    has, log_p = np.isfinite(labels), log_probabilities(labels, predictions)
    share, p = np.where(has, labels, 0.0), np.exp(log_p)
    nll = -(share * np.where(has, log_p, 0.0)).sum(1)
    top = p.argmax(1)[:, None]
    confidence, correct = (np.take_along_axis(values, top, 1)[:, 0] for values in (p, share))
    found, brier = reliability(confidence, correct), ((p - share) ** 2).sum(1)
    return CalibrationScores({"nll": nll[:, None], "brier": brier[:, None]}, found, (found,), confidence)


def _of_attributes(labels: np.ndarray, predictions: np.ndarray) -> CalibrationScores:
    known, logits = np.isfinite(labels), logits_of(predictions)
    nll = np.where(known, np.logaddexp(0.0, logits) - np.where(known, labels, 0.0) * logits, np.nan)
    found = reliability(predictions[known], labels[known])
    brier = (predictions - labels.astype(np.float64)) ** 2
    return CalibrationScores({"nll": nll, "brier": brier}, found, (found,), predictions[known])


def _of_values(
    space: LabelSpace, labels: np.ndarray, predictions: np.ndarray, deviations: np.ndarray
) -> CalibrationScores:
    deviation = np.maximum(deviations, LEAST_DEVIATION * (space.high - space.low), dtype=np.float64)
    z = (labels.astype(np.float64) - predictions) / deviation
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    crps = deviation * (z * erf(z / np.sqrt(2)) + 2 * density - 1 / np.sqrt(np.pi))
    nll = 0.5 * z**2 + np.log(deviation) + 0.5 * np.log(2 * np.pi)
    # the narrowest central interval that a label lies in
    level = erf(np.abs(z) / np.sqrt(2))
    by_column = tuple(_coverage(column[np.isfinite(column)]) for column in level.T if np.isfinite(column).any())
    observed = np.mean([r.accuracy for r in by_column], axis=0)
    found = Reliability(LEVELS, observed, by_column[0].count)
    return CalibrationScores({"nll": nll, "crps": crps}, found, by_column, level[np.isfinite(level)])


def _coverage(level: np.ndarray) -> Reliability:
    """Promised and observed shares of labels, from the levels (n,) of the intervals that they are just in."""
    within = np.searchsorted(np.sort(level), LEVELS, side="right")
    return Reliability(LEVELS, within / len(level), np.full(len(LEVELS), len(level)))
