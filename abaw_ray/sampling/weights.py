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


def database_weights(weights: np.ndarray, databases: np.ndarray, temperature: float) -> np.ndarray:
    """Weights that give every database of a set its share n^(1 / temperature) of the draws, n its rows.

    Args:
        weights: (n,) of a set's rows; their ratios within a database are kept.
        databases: (n,) code of each row's database.
        temperature: > 0.

    Returns:
        (n,) float64, with the sum 1.
    """
    _, places = np.unique(databases, return_inverse=True)
    counts, totals = np.bincount(places), np.bincount(places, weights)
    # of the largest database 1: a power of the counts themselves can be beyond any number
    shares = (counts / counts.max()) ** (1.0 / temperature)
    return weights * (shares / shares.sum() / totals)[places]
