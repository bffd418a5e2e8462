"""Pieces that several tasks share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def kl_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(SF(teacher, T), SF(student, T)) over the last axis (equation 4), without the factor T^2.

    Args:
        student: (..., classes) logits.
        teacher: (..., classes) logits.
        temperature: T > 0.

    Returns:
        (...) divergences, >= 0.
    """
    log_p = F.log_softmax(teacher.float() / temperature, dim=-1)
    log_q = F.log_softmax(student.float() / temperature, dim=-1)
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)


def known(target: Tensor, labelled: Tensor) -> Tensor:
    """Labels (batch, size), 0 where not labelled: there may be NaN, which no mask takes out of a gradient."""
    return torch.where(labelled[:, None], target, 0.0)


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum of the values where the mask is true, in float64."""
    return (values.double() * mask).sum()


def ratio(total: Tensor, count: Tensor) -> Tensor:
    """total / count, and 0 where count is 0."""
    return total / torch.clamp(count, min=1.0)
