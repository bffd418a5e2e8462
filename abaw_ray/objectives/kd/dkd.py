"""Decoupled knowledge distillation (Zhao et al., CVPR 2022): the target class and the other classes apart."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from abaw_ray.objectives.kd.base import Head, KDLoss, KDOptions
from abaw_ray.objectives.kd.kl import divergence
from abaw_ray.tasks.soft import Distributions


class DKDOptions(KDOptions):
    """Weights of the two parts; the defaults are the paper's for CIFAR-100."""

    alpha: float = Field(1.0, ge=0)
    """Weight of the target class against all others (TCKD)."""
    beta: float = Field(8.0, ge=0)
    """Weight of the other classes among themselves (NCKD)."""


class DKD(KDLoss):
    """alpha * TCKD + beta * NCKD (equation 7 of the paper), summed over the groups.

    A row without a label has none of the paper's target class: the teacher's most probable one stands for it. With
    alpha 1 and beta 1 - (the teacher's probability of the target) it is the KL divergence.
    """

    Options = DKDOptions
    uses_labels = True
    options: DKDOptions

    def forward(self, task: str, student: Head, teacher: Head, target: Tensor | None) -> Tensor:
        assert target is not None, "it uses labels"
        p, q = teacher.distributions, student.distributions
        target = torch.where(target >= 0, target, p.log_p.argmax(-1))[..., None]
        of_target = divergence(_target_or_not(p, target), _target_or_not(q, target))
        of_others = divergence(_others(p, target), _others(q, target))
        return (self.options.alpha * of_target + self.options.beta * of_others).sum(-1)


def _target_or_not(d: Distributions, target: Tensor) -> Distributions:
    """The target class and the sum of all others: (batch, groups, 2)."""
    log_p = torch.cat([d.log_p.gather(-1, target), _without(d, target).logsumexp(-1, keepdim=True)], -1)
    return Distributions(log_p, log_p.exp())


def _others(d: Distributions, target: Tensor) -> Distributions:
    """The other classes, given that it is not the target: (batch, groups, classes - 1)."""
    log_p = _without(d, target).log_softmax(-1)
    return Distributions(log_p, log_p.exp())


def _without(d: Distributions, target: Tensor) -> Tensor:
    """Log-probabilities of the classes but the target's (batch, groups, classes - 1)."""
    classes = torch.arange(d.log_p.shape[-1], device=target.device)
    others = classes.expand(d.log_p.shape)[classes != target].view(*target.shape[:-1], -1)
    return d.log_p.gather(-1, others)


LOSS = DKD
