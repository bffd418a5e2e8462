"""Kullback-Leibler divergence of the student from the teacher (Hinton et al. 2015; Vu et al., equations 4 and 5)."""

from __future__ import annotations

from torch import Tensor

from abaw_ray.objectives.kd.base import Head, KDLoss
from abaw_ray.tasks.soft import Distributions


class KL(KDLoss):
    """Sum over the groups of KL(teacher, student) at the temperature."""

    def forward(self, task: str, student: Head, teacher: Head, target: Tensor | None) -> Tensor:
        return divergence(teacher.distributions, student.distributions).sum(-1)


def divergence(p: Distributions, q: Distributions) -> Tensor:
    """KL(p, q) of every group: (batch, groups), >= 0."""
    return (p.p * (p.log_p - q.log_p)).sum(-1)


LOSS = KL
