"""What an objective of label sets is: one target for the labels of several annotators, or a loss of all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from abaw_ray.config import Section
from abaw_ray.objectives.label_sets.learned import LearnedTable
from abaw_ray.objectives.terms import AnnotatorLabels
from abaw_ray.spaces import KINDS, Kind, LabelSpace
from abaw_ray.tasks.base import Task


class LabelSetsOptions(Section):
    """Options of every objective of label sets; one may add its own."""


class LabelSets(nn.Module, ABC):
    """What a task learns from the labels of several annotators. Parameters that it has are trained with the network's.

    Args:
        options: of this objective.
        space: of the labels.
        annotators: names, in the order of the labels.
    """

    Options: ClassVar[type[LabelSetsOptions]] = LabelSetsOptions
    kinds: ClassVar[tuple[Kind, ...]] = KINDS
    """Of the label spaces that it is for."""
    takes_all: ClassVar[bool] = False
    """Whether its loss takes every annotator's labels; else the task's own loss takes `targets`."""

    def __init__(self, options: LabelSetsOptions, space: LabelSpace, annotators: Sequence[str]) -> None:
        super().__init__()
        self.options = options
        self.space, self.annotators = space, tuple(annotators)

    def prepare(self, values: np.ndarray, given: np.ndarray) -> None:
        """Looks at all train labels of the store once, before any target; arguments as of `targets`."""

    @abstractmethod
    def targets(self, values: np.ndarray, given: np.ndarray) -> np.ndarray:
        """One label for each row, (n, size) float32, NaN where a number is not known.

        Samples are balanced, and losses weighted, by it. Of a row that nobody labelled it is anything.

        Args:
            values: (n, annotators, size) float32 label vectors, NaN where a number is not known.
            given: (n, annotators) bool, whose labels there are.
        """

    def statistics(self, task: Task, logits: Tensor, labels: AnnotatorLabels) -> Tensor:
        """Sums (sums,) over the rows from which `supervised` computes the loss, as of `Task.statistics`.

        Args:
            task: of the labels.
            logits: (batch, outputs) of the task's head.
            labels: of the rows.
        """
        raise NotImplementedError("the task's own loss is of targets")

    def supervised(self, task: Task, statistics: Tensor) -> Tensor:
        """The loss of the global batch, a scalar: as of `Task.supervised`."""
        return task.supervised(statistics)

    def learned(self) -> list[LearnedTable]:
        """What is known of each annotator by now; empty: nothing is learned of them."""
        return []


def means(values: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Mean (n, size) float32 of the labels that there are, number by number; arguments as of `LabelSets.targets`."""
    has = given[..., None] & ~np.isnan(values)
    total = np.where(has, values, np.float32(0)).sum(1, dtype=np.float64)
    counts = has.sum(1)
    found = np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0)
    return found.astype(np.float32)
