"""Seven expressions: cross-entropy (equation 1) and its distillation (equation 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.labels import EXPRESSIONS
from abaw_ray.tasks.balance import class_weights
from abaw_ray.tasks.base import Decision, TrainLabels
from abaw_ray.tasks.metrics import expression_chance, expression_scores
from abaw_ray.tasks.soft import kl_divergence, known, masked_sum, ratio


class Expression:
    """Logits of the seven classes; labels are class distributions (one-hot, or shares of votes)."""

    name = "expression"
    num_outputs = len(EXPRESSIONS)
    columns: ClassVar[Mapping[str, str]] = {"EXPR": "criterion", "F1": "macro_f1", "accuracy": "accuracy"}

    def __init__(self, loss: LossConfig, model: ModelConfig, train_labels: TrainLabels | None = None) -> None:
        del loss, model, train_labels  # the paper's expression losses have no settings of their own

    def statistics(self, logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Sum of the cross-entropies, and number of labelled rows."""
        losses = -(known(target, labelled) * logits.float().log_softmax(-1)).sum(-1)
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

    def balance_weights(self, labels: np.ndarray) -> np.ndarray:
        """Every class equally often; of a distribution the most probable class counts."""
        return class_weights(labels.argmax(1))

    def balance_groups(self, labels: np.ndarray) -> np.ndarray:
        """The classes."""
        return labels.argmax(1)

    def fit_decision(self, target: np.ndarray, prediction: np.ndarray) -> Decision:
        """Nothing: the most probable class is the answer."""
        return {}

    def score(self, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> dict[str, Any]:
        """See `metrics.matrix_scores`."""
        return expression_scores(target.argmax(1), prediction.argmax(1))

    def criterion(self, scores: Mapping[str, Any]) -> float:
        """0.67 macro F1 + 0.33 accuracy (Vu et al., section 4.2)."""
        return float(scores["criterion"])

    def chance(self, target: np.ndarray) -> dict[str, float]:
        """See `metrics.expression_chance`."""
        return expression_chance(target.argmax(1))

    def answers(self, prediction: np.ndarray, decision: Decision) -> np.ndarray:
        """Class ids (n, 1)."""
        return prediction.argmax(1)[:, None]

    def describe(self, vector: np.ndarray, decision: Decision) -> str:
        """Name of the most probable class."""
        return EXPRESSIONS[int(vector.argmax())]


TASK = Expression
