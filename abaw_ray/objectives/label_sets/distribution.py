"""The distribution of the votes as a soft label (Barsoum et al., ICMI 2016, the cross-entropy loss)."""

from __future__ import annotations

import numpy as np

from abaw_ray.objectives.label_sets.base import LabelSets, means


class Distribution(LabelSets):
    """The mean of the labels that a row has: shares of votes by class or attribute, the mean number of a dimension."""

    def targets(self, values: np.ndarray, given: np.ndarray) -> np.ndarray:
        return means(values, given)


LABEL_SETS = Distribution
