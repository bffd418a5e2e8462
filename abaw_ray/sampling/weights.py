"""Balance weights and groups of a training set from those of the tasks that it is made for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np


def set_weights(terms: Sequence[np.ndarray], combine: Literal["sum", "normalised"]) -> np.ndarray:
    """Weights of a set's rows.

    Args:
        terms: each task's weights (n,), of every task that the set is made for.
        combine: `sum` adds them as they are and divides by the greatest sum (reference: the cells of valence and
            arousal then outweigh the expressions by their number, up to 400 to 7); `normalised` scales each term to
            sum 1 first. One term stays as it is.

    Returns:
        (n,) float64.
    """
    if len(terms) == 1:
        return terms[0]
    if combine == "normalised":
        terms = [t / t.sum() for t in terms]
    weights = np.sum(terms, axis=0)
    return weights / weights.max()


def set_groups(terms: Sequence[np.ndarray]) -> np.ndarray:
    """Balance groups of a set's rows: those in one group of every task are together, so that all have one weight.

    Args:
        terms: each task's groups (n,), from 0.

    Returns:
        (n,) int64, from 0, in the order of the terms' groups.
    """
    groups = np.zeros(len(terms[0]), np.int64)
    for term in terms:
        # numbered anew each time: the product of all tasks' numbers of groups can be beyond any integer
        groups = np.unique(groups * (int(term.max()) + 1) + term.astype(np.int64), return_inverse=True)[1]
    return groups
