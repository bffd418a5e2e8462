"""A learned transition matrix for each annotator, in front of the loss: forward correction.

The network gives the probabilities of the true classes, the matrix T of annotator a what that one makes of them,

    P(label l of a | x) = sum_k p_k(x) T_a[k, l],

and the loss is the cross-entropy of a's labels under it: Patrini et al., CVPR 2017 (forward correction, theorem 2). The
matrices of all annotators are learned with the network (Sukhbaatar et al., ICLR workshop 2015; Tanno et al., CVPR
2019). As a network could learn some permutation of the classes that the matrices undo, they begin near the identity,
and of those that explain the labels the ones of the least volume are wanted: the trace (Tanno et al., 2019), or the
logarithm of the determinant (Li et al., ICML 2021), is added to the loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from abaw_ray.objectives.label_sets.base import LabelSets, LabelSetsOptions, means
from abaw_ray.objectives.label_sets.learned import LearnedTable, confusion_tables
from abaw_ray.objectives.terms import AnnotatorLabels
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import Task
from abaw_ray.tasks.soft import ratio

FIRST_DIAGONAL = 0.9
"""Probability that a label is the true class, before anything is learned."""


class TransitionOptions(LabelSetsOptions):
    """Options of the transition matrices."""

    volume: Literal["trace", "log_determinant"] = "trace"
    """What is made small beside the cross-entropy."""
    volume_weight: float = Field(0.01, ge=0)
    """Of the mean over the annotators; 0.01 is that of Tanno et al. for the trace, 1e-4 that of Li et al."""
    speed: float = Field(3.0, gt=0)
    """How many times as far as the network's weights the matrices' logits go in a step of Adam. Matrices that are far
    ahead of the network end as permutations of the classes."""


class Transition(LabelSets):
    """Row-stochastic matrices T (annotators, groups, classes, classes), over the groups of the task's distributions.

    Of a multiclass task one group of the classes; of a multilabel one each attribute is a group of two, present and
    absent. Rows are softmaxes of learned logits, whose weight decay draws them towards where they began.
    """

    Options = TransitionOptions
    kinds = ("multiclass", "multilabel")
    takes_all = True
    options: TransitionOptions

    def __init__(self, options: TransitionOptions, space: LabelSpace, annotators: Sequence[str]) -> None:
        super().__init__(options, space, annotators)
        groups, classes = (1, space.size) if space.kind == "multiclass" else (space.size, 2)
        others = max(classes - 1, 1)
        diagonal = math.log(FIRST_DIAGONAL * others / (1 - FIRST_DIAGONAL))
        self._first: Tensor
        self.register_buffer("_first", diagonal * torch.eye(classes), persistent=False)
        self.change = nn.Parameter(torch.zeros(len(annotators), groups, classes, classes))

    def log_matrices(self) -> Tensor:
        """Logarithms (annotators, groups, true class, label) of the matrices."""
        return (self._first + self.options.speed * self.change).log_softmax(-1)

    def targets(self, values: np.ndarray, given: np.ndarray) -> np.ndarray:
        return means(values, given)

    def statistics(self, task: Task, logits: Tensor, labels: AnnotatorLabels) -> Tensor:
        """The task's sums over the labels of all annotators, then the matrices' volume and 1, of each worker."""
        log_matrices, of_sets = self.log_matrices(), []
        for place in range(len(self.annotators)):
            target, given = labels.values[:, place], labels.given[:, place]
            masked = logits.float()
            if self.space.kind == "multiclass":  # a class that the row's database lacks is no true class
                masked = masked.masked_fill(target.isnan() & given[:, None], -torch.inf)
            log_p = task.distributions(masked, 1.0).log_p
            of_labels = (log_p[..., :, None] + log_matrices[place]).logsumexp(-2)
            of_sets.append(task.statistics(task.logits_of(of_labels), target, given))
        volume = torch.stack([self._volume(log_matrices).double(), torch.ones_like(of_sets[0][0])])
        return torch.cat([torch.stack(of_sets).sum(0), volume])

    def supervised(self, task: Task, statistics: Tensor) -> Tensor:
        """The mean cross-entropy of a label + `volume_weight` * volume."""
        volume = ratio(statistics[-2], statistics[-1])
        return task.supervised(statistics[:-2]) + self.options.volume_weight * volume

    def learned(self) -> list[LearnedTable]:
        return confusion_tables(self.space, self.annotators, self.log_matrices().exp().detach().cpu().numpy())

    def _volume(self, log_matrices: Tensor) -> Tensor:
        """Mean over the annotators of the sum over the groups, a scalar."""
        matrices = log_matrices.exp()
        if self.options.volume == "trace":
            volumes = matrices.diagonal(dim1=-2, dim2=-1).sum(-1)
        else:
            volumes = torch.linalg.slogdet(matrices).logabsdet
        return volumes.sum(1).mean()


LABEL_SETS = Transition
