"""Seven expressions: cross-entropy (equation 1) and its distillation (equation 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.labels import EXPRESSIONS
from abaw_ray.tasks.soft import kl_divergence, masked_sum, ratio


class Expression:
    """Logits of the seven classes; labels are class distributions (one-hot, or shares of votes)."""

    name = "expression"
    num_outputs = len(EXPRESSIONS)

    def __init__(self, loss: LossConfig, model: ModelConfig) -> None:
        del loss, model  # the paper's expression losses have no settings of their own

    def statistics(self, logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Sum of the cross-entropies, and number of labelled rows."""
        losses = -(target * logits.float().log_softmax(-1)).sum(-1)
        return torch.stack([masked_sum(losses, labelled), labelled.double().sum()])

    def supervised(self, statistics: Tensor) -> Tensor:
        """Mean cross-entropy (equation 1)."""
        return ratio(statistics[0], statistics[1])

    def soft_losses(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """H1, row by row (equation 4): (batch,)."""
        return kl_divergence(student, teacher, temperature)

    def decode(self, logits: Tensor) -> Tensor:
        """Class probabilities (batch, 7)."""
        return logits.float().softmax(-1)


TASK = Expression
