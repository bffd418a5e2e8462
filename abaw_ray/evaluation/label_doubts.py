"""Labels that a model's predictions speak against, by confident learning: pure functions of labels and predictions.

Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70 (2021). Predictions
should be of rows that the model was not trained on: it may have learned a wrong label of a row that it knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_DEVIATIONS = 3.0
"""Of an error from which on a value is doubted."""
TOLERANCE = 1e-6
"""Of a probability that reaches a threshold: the mean of equal numbers can be rounded up."""
NORMAL_MEDIAN = 0.6744897501960817
"""Median of the absolute value of a standard normal number."""


@dataclass(frozen=True)
class ClassDoubts:
    """Confident learning of the labels of one of K classes.

    Args:
        thresholds: (K,) mean probability of a class over the rows labelled so; infinite of a class that none has.
        joint: (K, K) int64, the confident joint: rows by label, and by the class that they confidently are of.
        likely: (n,) int64, that class of each row; -1: of none, or not judged.
        margin: (n,) float64, probability of the label less the largest of another class, from -1 to 1: the normalised
            margin; NaN where it is not judged.
        doubted: (n,) bool, rows off the joint's diagonal.
    """

    thresholds: np.ndarray
    joint: np.ndarray
    likely: np.ndarray
    margin: np.ndarray
    doubted: np.ndarray

    @property
    def ranked(self) -> np.ndarray:
        """The doubted rows (k,), those of the lowest margin first; of equal ones the first."""
        return np.flatnonzero(self.doubted)[np.argsort(self.margin[self.doubted], kind="stable")]

    @property
    def share_wrong(self) -> float:
        """Estimated share of wrong labels among those that were judged: what is off the calibrated joint's diagonal.

        It takes the model to be right where it is sure: the more a model errs so, the more it is too high.
        """
        calibrated = calibrated_joint(self.joint, self.num_labels)
        return float(calibrated.sum() - np.trace(calibrated))

    num_labels: np.ndarray
    """(K,) int64 rows of each label that were judged."""


def class_doubts(labels: np.ndarray, probability: np.ndarray) -> ClassDoubts:
    """Which labels are likely to be of another class (section 3.1, equations 1 and 2, and method 2 of section 3.2).

    A row counts as confidently of a class where its probability reaches the class's threshold, the mean over the rows
    labelled so; of several classes the most probable one. So a class that the model is never sure of is not doubted
    as a whole. The thresholds also make up for classes that a model was trained to say more often than they occur.

    Args:
        labels: (n,) classes 0, ..., K - 1; -1: none.
        probability: (n, K), NaN of classes that the model or the row's database does not have, which are left out of
            the row: the others are scaled to a sum of 1. A row whose label is one of them is not judged.
    """
    num_rows, num_classes = probability.shape
    known = np.where(np.isfinite(probability), probability, 0.0).astype(np.float64)
    known /= np.maximum(known.sum(1, keepdims=True), np.finfo(np.float64).tiny)
    judged = labels >= 0
    judged[judged] &= np.isfinite(probability[judged, labels[judged]])
    judged &= np.isfinite(probability).sum(1) > 1
    rows, given = np.flatnonzero(judged), labels[judged]
    own = known[rows, given]
    num_labels = np.bincount(given, minlength=num_classes)
    sums = np.bincount(given, own, minlength=num_classes)
    thresholds = np.divide(sums, num_labels, out=np.full(num_classes, np.inf), where=num_labels > 0)
    reached = np.where(known[rows] >= thresholds - TOLERANCE, known[rows], -1.0)
    confident = reached.max(1, initial=-1.0) >= 0
    likely = np.full(num_rows, -1, np.int64)
    likely[rows[confident]] = reached[confident].argmax(1)
    joint = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(joint, (given[confident], likely[rows[confident]]), 1)
    others = known[rows]
    others[np.arange(len(rows)), given] = -1.0
    margin = np.full(num_rows, np.nan)
    margin[rows] = own - others.max(1, initial=-1.0)
    doubted = np.zeros(num_rows, bool)
    doubted[rows[confident]] = likely[rows[confident]] != given[confident]
    return ClassDoubts(thresholds, joint, likely, margin, doubted, num_labels)


def calibrated_joint(joint: np.ndarray, num_labels: np.ndarray) -> np.ndarray:
    """Estimated joint distribution (K, K) of given and true classes (equation 3): the confident joint, scaled.

    Args:
        joint: (K, K) counts, by given label and confident class.
        num_labels: (K,) rows of each label. A label without a confident row is taken to be right.

    Returns:
        Its rows sum to the labels' shares; zeros if there is no label.
    """
    of_label = joint.sum(1, keepdims=True)
    shares = np.where(of_label > 0, joint / np.maximum(of_label, 1), np.eye(len(joint)))
    return shares * num_labels[:, None] / max(int(num_labels.sum()), 1)


def attribute_doubts(labels: np.ndarray, probability: np.ndarray) -> list[ClassDoubts]:
    """Confident learning of each attribute by itself, of the two classes absent (0) and present (1).

    Args:
        labels: (n, K) 0 or 1, NaN where it is not known; of degrees between, half and more is present.
        probability: (n, K) that it is present; NaN of attributes that the model does not have.
    """
    classes = np.where(np.isfinite(labels), labels >= 0.5, -1).astype(np.int64)
    both = np.stack([1 - probability, probability], axis=2)
    return [class_doubts(classes[:, k], both[:, k]) for k in range(labels.shape[1])]


@dataclass(frozen=True)
class ValueDoubts:
    """Errors of the labels of one dimension against their spread.

    Args:
        offset: median of label less prediction.
        scale: what the predicted deviations are multiplied by, so that half of the errors are as small as half of
            normally distributed ones.
        deviations: (n,) float64, absolute errors over scaled deviations, from 0; NaN where it is not judged.
        doubted: (n,) bool, of more than `MAX_DEVIATIONS`.
    """

    offset: float
    scale: float
    deviations: np.ndarray
    doubted: np.ndarray

    @property
    def ranked(self) -> np.ndarray:
        """The doubted rows (k,), those furthest off first; of equal ones the first."""
        return np.flatnonzero(self.doubted)[np.argsort(-self.deviations[self.doubted], kind="stable")]


def value_doubts(labels: np.ndarray, predictions: np.ndarray, deviations: np.ndarray | None = None) -> ValueDoubts:
    """Which values are further off than a model's errors usually are.

    Errors are taken from their median, over the deviation that the model states of each, and all of them over one
    robust scale (the median absolute error over that of a standard normal number): a model that is off by a constant,
    or always too sure, doubts no more for it.

    Args:
        labels: (n,) NaN where it is not known.
        predictions: (n,) NaN where the model gives none.
        deviations: (n,) > 0, standard deviations that the model expects of its errors; None: the same of all.
    """
    stated = np.ones(len(labels)) if deviations is None else deviations.astype(np.float64)
    errors = labels.astype(np.float64) - predictions
    judged = np.isfinite(errors)
    offset = float(np.median(errors[judged])) if judged.any() else 0.0
    ratios = np.abs(errors - offset) / np.maximum(stated, np.finfo(np.float32).tiny)
    scale = float(np.median(ratios[judged])) / NORMAL_MEDIAN if judged.any() else 1.0
    found = ratios / max(scale, np.finfo(np.float32).tiny)
    found[~judged] = np.nan
    return ValueDoubts(offset, scale, found, np.nan_to_num(found) > MAX_DEVIATIONS)
