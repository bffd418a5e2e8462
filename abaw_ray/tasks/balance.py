"""Balance weights of one task: how often each row of a training set is drawn, as the reference balances them.

Only the ratios of a set's weights matter.
"""

from __future__ import annotations

import numpy as np

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
