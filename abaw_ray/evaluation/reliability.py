"""How often a model is right where it says how sure it is: bins of equal mass, and their expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NUM_BINS = 15
MIN_ROWS = 10
"""Of a bin on average: with fewer, its accuracy says nothing."""


@dataclass(frozen=True)
class Reliability:
    """Confidence and accuracy bin by bin, from the least sure to the surest; no bin is empty.

    Args:
        confidence: (bins,) float64 mean of the bin's confidences.
        accuracy: (bins,) float64 share of the bin's rows that are right.
        count: (bins,) int64 rows of the bin.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray

    @property
    def ece(self) -> float:
        """Expected calibration error: |accuracy - confidence|, the mean over all rows. NaN of no rows."""
        if not len(self.count):
            return float("nan")
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.count))

    def to_dict(self) -> dict[str, list[float]]:
        """For JSON."""
        return {
            "confidence": self.confidence.tolist(),
            "accuracy": self.accuracy.tolist(),
            "count": self.count.tolist(),
        }


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = NUM_BINS) -> Reliability:
    """Divides rows into bins of equally many by their confidence (Nixon et al., CVPR Workshops 2019).

    Rows of one confidence stay in one bin, so that the bins do not depend on the order of the rows; there are fewer
    bins where many rows are alike, and where there are less than 10 rows for each.

    Args:
        confidence: (n,) finite, of each row's answer.
        correct: (n,) whether the answer is right: bool, or its share from 0 to 1 of a label that is a distribution.
        bins: at most this many.
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    assert confidence.shape == correct.shape, "a confidence for each row"
    assert np.isfinite(confidence).all(), "confidences that are no numbers"
    bins = int(np.clip(len(confidence) // MIN_ROWS, 1, bins))
    _, value, of_value = np.unique(confidence, return_inverse=True, return_counts=True)
    first_rank = np.cumsum(of_value) - of_value
    place = (first_rank * bins // max(len(confidence), 1))[value]
    count = np.bincount(place)
    filled = count > 0
    sums = (np.bincount(place, values)[filled] for values in (confidence, correct))
    mean_confidence, accuracy = (total / count[filled] for total in sums)
    return Reliability(mean_confidence, accuracy, count[filled])
