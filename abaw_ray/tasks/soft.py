"""Pieces that several tasks share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Distributions:
    """What a head says of each row: a distribution in each of its groups.

    The groups are one of the classes (multiclass), one of the bins for each dimension (binned regression), one of
    present and absent for each attribute (multilabel).

    Args:
        log_p: (batch, groups, classes) float32 log-probabilities.
        p: the probabilities.
    """

    log_p: Tensor
    p: Tensor


def softmax_distributions(logits: Tensor) -> Distributions:
    """Softmax of logits (batch, groups, classes), as distributions."""
    log_p = F.log_softmax(logits, dim=-1)
    return Distributions(log_p, log_p.exp())


def sigmoid_distributions(logits: Tensor) -> Distributions:
    """Distributions over two classes from logits (batch, groups) of the first against the second."""
    log_p = torch.stack([F.logsigmoid(logits), F.logsigmoid(-logits)], dim=-1)
    return Distributions(log_p, torch.stack([logits.sigmoid(), (-logits).sigmoid()], dim=-1))


def zero_unlabelled(target: Tensor, labelled: Tensor) -> Tensor:
    """Labels (batch, size), 0 where not labelled: there may be NaN, which no mask takes out of a gradient."""
    return torch.where(labelled[:, None], target, 0.0)


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum of the values where the mask is true, in float64."""
    return (values.double() * mask).sum()


def ratio(total: Tensor, count: Tensor) -> Tensor:
    """total / count, and 0 where count is 0."""
    return total / torch.clamp(count, min=1.0)
