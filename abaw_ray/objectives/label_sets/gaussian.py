"""A learned Gaussian error for each annotator: a bias and a deviation in each dimension.

The labels of annotator a are taken for y_a = y + b_a + e_a, e_a ~ N(0, s_a^2), of a truth y: the model of Raykar et
al. (Learning From Crowds, JMLR 2010) for regression, and a bias. Given the errors, the most likely truth is the mean
of y_a - b_a by 1 / s_a^2, and it is what the network learns, by the task's own loss. Given the network's predictions
f, the errors are learned by their likelihood,

    mean over labels of (y_a - b_a - f)^2 / (2 s_a^2) + log s_a,

whose gradient the network does not take. Nobody can tell a bias that all annotators share from the truth: biases have
the mean 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from abaw_ray.objectives.label_sets.base import LabelSets, LabelSetsOptions, means
from abaw_ray.objectives.label_sets.learned import LearnedTable, rounded
from abaw_ray.objectives.terms import AnnotatorLabels
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import Task
from abaw_ray.tasks.soft import masked_sum, ratio

FIRST_DEVIATION, LEAST_DEVIATION = 0.1, 0.005
"""Of the range. An annotator whom the network repeats exactly would else have all the weight."""


class GaussianOptions(LabelSetsOptions):
    """Options of the errors."""

    speed: float = Field(3.0, gt=0)
    """How many times as far as the network's weights the errors' parameters go in a step of Adam."""


class Gaussian(LabelSets):
    """Biases and deviations (annotators, dimensions) in the units of the labels."""

    Options = GaussianOptions
    kinds = ("regression",)
    takes_all = True
    options: GaussianOptions

    def __init__(self, options: GaussianOptions, space: LabelSpace, annotators: Sequence[str]) -> None:
        super().__init__(options, space, annotators)
        self._range = space.high - space.low
        self.shift = nn.Parameter(torch.zeros(len(annotators), space.size))
        self.log_scale = nn.Parameter(torch.zeros(len(annotators), space.size))

    def biases(self) -> Tensor:
        """(annotators, dimensions), of the mean 0 in each dimension."""
        shift = self.options.speed * self.shift
        return self._range * (shift - shift.mean(0))

    def deviations(self) -> Tensor:
        """(annotators, dimensions)."""
        log = math.log(FIRST_DEVIATION) + self.options.speed * self.log_scale
        return self._range * log.clamp(min=math.log(LEAST_DEVIATION)).exp()

    def targets(self, values: np.ndarray, given: np.ndarray) -> np.ndarray:
        return means(values, given)

    def truths(self, labels: AnnotatorLabels) -> Tensor:
        """The most likely truth (batch, dimensions) of labels, within the range; NaN where nobody gave a number."""
        has = labels.given[..., None] & ~labels.values.isnan()
        weights = has * self.deviations().detach() ** -2
        corrected = torch.where(has, labels.values - self.biases().detach(), 0.0)
        return ((weights * corrected).sum(1) / weights.sum(1)).clamp(self.space.low, self.space.high)

    def statistics(self, task: Task, logits: Tensor, labels: AnnotatorLabels) -> Tensor:
        """The task's sums with the most likely truths, then the errors' likelihood and the number of their labels."""
        own = task.statistics(logits, self.truths(labels), labels.given.any(1))
        has = labels.given[..., None] & ~labels.values.isnan()
        predicted = task.decode(logits).detach()[:, None]
        deviations = self.deviations()
        errors = torch.where(has, labels.values - predicted, 0.0) - self.biases()
        losses = errors**2 / (2 * deviations**2) + deviations.log()
        return torch.cat([own, torch.stack([masked_sum(losses, has), has.double().sum()])])

    def supervised(self, task: Task, statistics: Tensor) -> Tensor:
        """The task's loss, and what the errors learn from; its value is left out of the loss."""
        likelihood = ratio(statistics[-2], statistics[-1])
        return task.supervised(statistics[:-2]) + likelihood - likelihood.detach()

    def learned(self) -> list[LearnedTable]:
        errors = torch.stack([self.biases(), self.deviations()], dim=-1).detach().cpu().numpy()
        columns = ("bias", "standard deviation")
        return [
            LearnedTable(name, "dimension", tuple(self.space.names), columns, rounded(values), are_shares=False)
            for name, values in zip(self.annotators, errors, strict=True)
        ]


LABEL_SETS = Gaussian
