"""One of several classes: cross-entropy (equation 1) and its distillation (equation 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.balance import class_weights
from abaw_ray.tasks.base import Decision, TrainLabels
from abaw_ray.tasks.metrics import class_chance, class_scores
from abaw_ray.tasks.soft import kl_divergence, known, masked_sum, ratio

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Multiclass:
    """Logits of the classes; labels are class distributions (one-hot, or shares of votes)."""

    columns: Mapping[str, str]

    def __init__(
        self, space: LabelSpace, loss: LossConfig, model: ModelConfig, train_labels: TrainLabels | None = None
    ) -> None:
        del loss, model, train_labels  # its losses have no settings
        self.space = space
        self.num_outputs = space.size
        self.columns = {f"{space.name} F1": "macro_f1", f"{space.name} accuracy": "accuracy"}

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
        """Class probabilities (batch, classes)."""
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
        """`criterion`, and the numbers of `metrics.class_scores`."""
        scores = class_scores(target.argmax(1), prediction.argmax(1), self.space.names)
        return {"criterion": self._criterion(scores["macro_f1"], scores["accuracy"]), **scores}

    def criterion(self, scores: Mapping[str, Any]) -> float:
        """The macro F1."""
        return float(scores["criterion"])

    def chance(self, target: np.ndarray) -> dict[str, float]:
        """Each number by itself is the better of two predictors: always the most frequent class, and one at random."""
        majority, at_random = class_chance(target.argmax(1), self.space.size)
        best = {key: max(majority[key], at_random[key]) for key in majority}
        return {"criterion": max(self._criterion(**majority), self._criterion(**at_random)), **best}

    def answers(self, prediction: np.ndarray, decision: Decision) -> np.ndarray:
        """Class ids (n, 1)."""
        return prediction.argmax(1)[:, None]

    def figures(self, target: np.ndarray, prediction: np.ndarray) -> dict[str, Figure]:
        """The confusion matrix."""
        from abaw_ray.tasks.figures import confusion_figure

        classes = target.argmax(1), prediction.argmax(1)
        return {f"{self.space.name}_confusion": confusion_figure(*classes, self.space.names, self.space.name)}

    def describe(self, vector: np.ndarray, decision: Decision) -> str:
        """Name of the most probable class."""
        return self.space.names[int(vector.argmax())]

    def _criterion(self, macro_f1: float, accuracy: float) -> float:
        return macro_f1


TASK = Multiclass
