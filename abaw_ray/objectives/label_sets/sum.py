"""The losses of all sets together: every label of every annotator counts as a sample with the row's outputs."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from abaw_ray.objectives.label_sets.base import LabelSets, means
from abaw_ray.objectives.terms import AnnotatorLabels
from abaw_ray.tasks.base import Task


class Sum(LabelSets):
    """The task's own loss over all labels: a row with more labels weighs more.

    It is divided by the number of labels, so that its size is that of one set's. The CCC is that of all labels, each
    with the prediction of its row.
    """

    takes_all = True

    def targets(self, values: np.ndarray, given: np.ndarray) -> np.ndarray:
        return means(values, given)

    def statistics(self, task: Task, logits: Tensor, labels: AnnotatorLabels) -> Tensor:
        sets = labels.given.shape[1]
        return task.statistics(
            logits.repeat_interleave(sets, dim=0), labels.values.flatten(0, 1), labels.given.flatten()
        )


LABEL_SETS = Sum
