"""Balance weights: how often each row of a training set is drawn, as the reference balances them.

Only the ratios of a set's weights matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

NUM_BINS = 20
"""Bins of the valence-arousal histogram along each axis."""

Combine = Literal["sum", "normalised"]


def class_weights(classes: np.ndarray) -> np.ndarray:
    """Weights that draw every class equally often.

    Args:
        classes: (n,) class ids, from 0.

    Returns:
        (n,) float64: 1 / number of rows of the row's class.
    """
    return 1.0 / np.bincount(classes)[classes]


def cell_weights(va: np.ndarray, bins: int = NUM_BINS) -> np.ndarray:
    """Weights that draw every non-empty cell of the valence-arousal histogram equally often.

    Args:
        va: (n, 2) valence and arousal; each axis is divided from its least to its greatest value.
        bins: bins along each axis.

    Returns:
        (n,) float64: 1 / number of rows in the row's cell.
    """
    cells = _bin(va[:, 0], bins) * bins + _bin(va[:, 1], bins)
    return class_weights(cells)


def joint_weights(classes: np.ndarray, va: np.ndarray, combine: Combine) -> np.ndarray:
    """Weights of a set that has both labels: cell weight + class weight, divided by the greatest sum.

    Args:
        classes: (n,) class ids, from 0.
        va: (n, 2) valence and arousal.
        combine: `sum` adds them as they are (reference; cells then outweigh classes by their number, up to 400 to 7);
            `normalised` scales each term to sum 1 first.

    Returns:
        (n,) float64 in (0, 1].
    """
    terms = [cell_weights(va), class_weights(classes)]
    if combine == "normalised":
        terms = [t / t.sum() for t in terms]
    weights = terms[0] + terms[1]
    return weights / weights.max()


def set_weights(tasks: tuple[str, ...], labels: Mapping[str, np.ndarray], combine: Combine) -> np.ndarray:
    """Balance weights of a training set, by the tasks that it is made for.

    Args:
        tasks: one or both of `expression` and `valence_arousal`.
        labels: by task, (n, 7) distributions over the expressions (the most probable class counts), (n, 2) valence
            and arousal.
        combine: how a set with both tasks adds its terms, see `joint_weights`.

    Returns:
        (n,) float64.
    """
    if set(tasks) == {"expression"}:
        return class_weights(labels["expression"].argmax(1))
    if set(tasks) == {"valence_arousal"}:
        return cell_weights(labels["valence_arousal"])
    if set(tasks) == {"expression", "valence_arousal"}:
        return joint_weights(labels["expression"].argmax(1), labels["valence_arousal"], combine)
    raise ValueError(f"no balance weights for a set of the tasks {tasks!r}")


def _bin(values: np.ndarray, bins: int) -> np.ndarray:
    """The bin of every value as `numpy.histogram` counts it: right-open, the last one closed."""
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros(len(values), dtype=np.int64)
    inner_edges = np.linspace(low, high, bins + 1)[1:-1]
    return np.searchsorted(inner_edges, values, side="right")
