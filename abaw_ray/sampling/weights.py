"""Balance weights of the three kinds of training set (spec: `force_balance`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

Combine = Literal["sum", "normalised"]


def class_weights(classes: np.ndarray) -> np.ndarray:
    """1 / number of rows of the row's class, so that classes are drawn equally often.

    Args:
        classes: (rows,) class ids >= 0.

    Returns:
        (rows,) float64.
    """
    return 1.0 / np.bincount(classes)[classes]


def cell_weights(va: np.ndarray, bins: int = 20) -> np.ndarray:
    """1 / number of rows in the row's cell of a bins x bins histogram over the data's own range.

    Args:
        va: (rows, 2) valence and arousal.
        bins: cells a dimension; the upper edge belongs to the last.

    Returns:
        (rows,) float64.
    """
    cells = np.zeros(len(va), dtype=np.int64)
    for values in np.asarray(va, dtype=np.float64).T:
        edges = np.histogram_bin_edges(values, bins)
        cells = cells * bins + np.clip(np.digitize(values, edges) - 1, 0, bins - 1)
    return class_weights(cells)


def joint_weights(classes: np.ndarray, va: np.ndarray, combine: Combine) -> np.ndarray:
    """Cell weight + class weight, divided by the largest.

    The plain sum is the reference's: its mass is (non-empty cells) + (classes), nearly all of it on the cells.
    `normalised` scales each term to sum 1 first.
    """
    terms = [cell_weights(va), class_weights(classes)]
    if combine == "normalised":
        terms = [t / t.sum() for t in terms]
    weights = np.sum(terms, axis=0)
    return weights / weights.max()


def set_weights(tasks: tuple[str, ...], labels: Mapping[str, np.ndarray], combine: Combine) -> np.ndarray:
    """The balance weights of a set made for `tasks`.

    Args:
        tasks: `expression`, `valence_arousal` or both.
        labels: task -> label vectors (rows, size); an expression's class is its largest share.
        combine: see `joint_weights`.

    Returns:
        (rows,) float64, > 0.
    """
    if tasks == ("valence_arousal",):
        return cell_weights(labels["valence_arousal"])
    classes = labels["expression"].argmax(1)
    if tasks == ("expression",):
        return class_weights(classes)
    return joint_weights(classes, labels["valence_arousal"], combine)
