"""One annotator's labels; where there are several, those of the first in the list who has labelled a row."""

from __future__ import annotations

import numpy as np

from abaw_ray.objectives.label_sets.base import LabelSets


class First(LabelSets):
    """The label of the first of the annotators that gave one: of a corrected set before the one that it corrects."""

    def targets(self, values: np.ndarray, given: np.ndarray) -> np.ndarray:
        return values[np.arange(len(values)), given.argmax(1)]


LABEL_SETS = First
