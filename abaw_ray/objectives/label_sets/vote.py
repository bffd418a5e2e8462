"""The majority's label."""

from __future__ import annotations

import numpy as np

from abaw_ray.objectives.label_sets.base import LabelSets, means


class Vote(LabelSets):
    """The class with the most votes; whether most see an attribute; the median of a dimension.

    A tie is shared: between the classes that have as many votes, and as 0.5 of an attribute.
    """

    def targets(self, values: np.ndarray, given: np.ndarray) -> np.ndarray:
        if self.space.kind == "regression":
            return _medians(values, given)
        shares = means(values, given)
        if self.space.kind == "multilabel":
            return np.where(np.isnan(shares), shares, np.where(shares == 0.5, shares, shares > 0.5)).astype(np.float32)
        most = np.where(np.isnan(shares), -np.inf, shares).max(1, keepdims=True)
        # shares of as many votes differ by rounding alone
        wins = shares >= most - 1e-6
        winners = wins / np.maximum(wins.sum(1, keepdims=True), 1)
        return np.where(np.isnan(shares), shares, winners).astype(np.float32)


def _medians(values: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Median (n, size) of what is known."""
    known = np.ma.masked_invalid(np.ma.masked_array(values, np.broadcast_to(~given[..., None], values.shape)))
    return np.ma.median(known, axis=1).filled(np.nan).astype(np.float32)


LABEL_SETS = Vote
