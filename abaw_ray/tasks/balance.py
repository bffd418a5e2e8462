"""Balance weights of one task: how often each row of a training set is drawn.

Only the ratios of a set's weights matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from abaw_ray.config import Balance

if TYPE_CHECKING:
    from abaw_ray.tasks.base import Task

MAX_CELLS = 2**32
NUM_BINS = 20
"""Bins of the histogram along each axis."""


def class_weights(classes: np.ndarray) -> np.ndarray:
    """Weights that draw every class equally often.

    Args:
        classes: (n,) class ids, from 0.

    Returns:
        (n,) float64: 1 / number of rows of the row's class.
    """
    return 1.0 / np.bincount(classes)[classes]


def balance_weights(task: Task, labels: np.ndarray, balance: Balance, threshold: float | None = None) -> np.ndarray:
    """Balance weights of a training set's rows by one of its tasks.

    Args:
        task: of the labels.
        labels: (n, label size), n > 0.
        balance: as of `sampling.balance`.
        threshold: as of `sampling.repeat_threshold`.

    Returns:
        (n,) float64: of `class` the task's own, of the others with the sum 1.
    """
    if balance == "class":
        return task.balance_weights(labels)
    if balance == "none":
        return np.full(len(labels), 1.0 / len(labels))
    if balance == "repeat" and task.space.kind == "multilabel":
        weights = attribute_repeat_factors(labels, threshold)
    elif balance == "repeat":
        groups = task.balance_groups(labels)
        shares = np.bincount(groups) / len(groups)
        limit = threshold if threshold is not None else 1.0 / np.count_nonzero(shares)
        weights = _repeat_factors(shares, limit)[groups]
    else:
        weights = np.sqrt(class_weights(task.balance_groups(labels)))
    return weights / weights.sum()


def balance_groups(task: Task, labels: np.ndarray, balance: Balance, threshold: float | None = None) -> np.ndarray:
    """Groups (n,) int64, from 0, of rows of equal `balance_weights`, whose arguments these are."""
    if balance == "repeat" and task.space.kind == "multilabel":
        return np.unique(attribute_repeat_factors(labels, threshold), return_inverse=True)[1]
    return task.balance_groups(labels)


def attribute_repeat_factors(labels: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """Repeat factors (n,) of rows with attributes: the greatest of those that are present, at least 1.

    Args:
        labels: (n, attributes); NaN where one is not known.
        threshold: share of the rows that know an attribute below which it is repeated; None: the mean share.
    """
    present = labels > 0.5
    shares = present.sum(0) / np.maximum(np.isfinite(labels).sum(0), 1)
    factors = _repeat_factors(shares, threshold if threshold is not None else float(shares.mean()))
    return np.where(present, factors, 1.0).max(1, initial=1.0)


def _repeat_factors(shares: np.ndarray, threshold: float) -> np.ndarray:
    """max(1, sqrt(threshold / share)); 1 where the share is 0."""
    return np.maximum(1.0, np.sqrt(np.divide(threshold, shares, out=np.ones(len(shares)), where=shares > 0)))


def cell_weights(values: np.ndarray, bins: int = NUM_BINS) -> np.ndarray:
    """Weights that draw every non-empty cell of the histogram over all dimensions equally often.

    Args:
        values: (n, dimensions); each axis is divided from its least to its greatest value.
        bins: bins along each axis.

    Returns:
        (n,) float64: 1 / number of rows in the row's cell.
    """
    return class_weights(cells(values, bins))


def cells(values: np.ndarray, bins: int = NUM_BINS) -> np.ndarray:
    """Cell (n,) int64 of the histogram of `cell_weights` that each of `values` (n, dimensions) is in."""
    found = np.zeros(len(values), np.int64)
    for column in values.T:
        # of many dimensions most cells are empty: they are numbered anew before there are too many
        found = np.unique(found, return_inverse=True)[1] if found.max(initial=0) >= MAX_CELLS else found
        found = found * bins + _bin(column, bins)
    return found


def _bin(values: np.ndarray, bins: int) -> np.ndarray:
    """The bin of every value as `numpy.histogram` counts it: right-open, the last one closed."""
    values = values.astype(np.float64)
    values = np.nan_to_num(values, nan=np.nanmin(values))
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros(len(values), dtype=np.int64)
    inner_edges = np.linspace(low, high, bins + 1)[1:-1]
    return np.searchsorted(inner_edges, values, side="right")
