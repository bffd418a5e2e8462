"""Attributes, each present or absent: a loss by name, and distillation of every attribute's odds.

The paper has no such task; its ancestor (Deng et al., FG 2020) has action units as a third one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.attribute_losses import LOSSES, LossOptions
from abaw_ray.tasks.base import Decision, Role, TaskOptions, TrainLabels
from abaw_ray.tasks.metrics import balanced_threshold, best_threshold, binary_f1
from abaw_ray.tasks.soft import Distributions, sigmoid_distributions, zero_unlabelled
from abaw_ray.tasks.sums import Scores, attribute_sums, scores_of_attribute_sums

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class AttributeOptions(LossOptions):
    """Options of a task of attributes."""

    thresholds: Literal["f1", "precision_recall"] = "f1"
    """From which probability an attribute is taken to be present, fitted on validation: where its F1 is greatest, or
    where its precision is its recall, that is, where it is predicted as often as it is present."""


class Attributes:
    """Logits of the attributes; labels are 0 or 1, or NaN where a row's attribute is not known."""

    Options: ClassVar[type[TaskOptions]] = AttributeOptions

    def __init__(
        self,
        space: LabelSpace,
        loss: LossConfig,
        model: ModelConfig,
        options: AttributeOptions,
        train_labels: TrainLabels | None = None,
    ) -> None:
        del loss, model
        self.role: Role = options.role
        self.space = space
        self.num_outputs = self.num_groups = space.size
        self._loss = LOSSES[options.loss](space.size, options, train_labels)
        self._threshold = {"f1": best_threshold, "precision_recall": balanced_threshold}[options.thresholds]

    @property
    def columns(self) -> Mapping[str, str]:
        """Macro F1 and accuracy."""
        return {f"{self.space.name} F1": "macro_f1", f"{self.space.name} accuracy": "accuracy"}

    def statistics(self, logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Those of its loss, over the rows and attributes that are known."""
        present = zero_unlabelled(target, labelled)
        known = ~present.isnan()
        return self._loss.statistics(logits, present.masked_fill(~known, 0.0), known, labelled)

    def supervised(self, statistics: Tensor) -> Tensor:
        """Mean over rows of the sum over attributes."""
        return self._loss.supervised(statistics)

    def distributions(self, logits: Tensor, temperature: float) -> Distributions:
        """Present against absent, for each attribute: (batch, attributes, 2).

        At T = 1 the gradient of their divergence is that of the cross-entropy against the teacher's probabilities
        (Deng et al.).
        """
        return sigmoid_distributions(logits.float() / temperature)

    def logits_of(self, log_p: Tensor) -> Tensor:
        """The log-odds (batch, attributes)."""
        return log_p[..., 0] - log_p[..., 1]

    def target_classes(self, target: Tensor, labelled: Tensor) -> Tensor:
        """0 where an attribute is present, 1 where it is absent (batch, attributes)."""
        target = zero_unlabelled(target, labelled)
        return torch.where(labelled[:, None] & ~target.isnan(), (target < 0.5).long(), -1)

    def decode(self, logits: Tensor) -> Tensor:
        """Probability of each attribute (batch, attributes)."""
        return logits.float().sigmoid()

    def deviation(self, logits: Tensor) -> None:
        """None: predictions are probabilities."""
        return None

    def balance_weights(self, labels: np.ndarray) -> np.ndarray:
        """All rows alike: the loss has the weights."""
        return np.full(len(labels), 1.0 / len(labels))

    def balance_groups(self, labels: np.ndarray) -> np.ndarray:
        """All rows in one."""
        return np.zeros(len(labels), np.int64)

    def fit_decision(self, target: np.ndarray, prediction: np.ndarray) -> Decision:
        """`thresholds`: of each attribute."""
        columns = zip(target.T > 0.5, prediction.T, np.isfinite(target.T), strict=True)
        return {"thresholds": [self._threshold(present[known], p[known]) for present, p, known in columns]}

    def score(self, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> dict[str, Any]:
        """Scores at the thresholds of `decision`.

        Returns:
            `criterion`; `macro_f1`, the mean over the attributes that are known anywhere; `accuracy` over all that is
            known; `f1` by attribute; `macro_f1_at_half`, with all thresholds 0.5; `thresholds`; `num_frames`.
        """
        known = np.isfinite(target)
        present, answered = target > 0.5, self.answers(prediction, decision) > 0.5
        f1, at_half = (binary_f1(present, known & answer)[known.any(0)] for answer in (answered, prediction >= 0.5))
        accuracy = float(((present == answered) & known).sum() / known.sum())
        names = [name for name, is_known in zip(self.space.names, known.any(0), strict=True) if is_known]
        return {
            "criterion": self._criterion(float(f1.mean()), accuracy),
            "macro_f1": float(f1.mean()),
            "accuracy": accuracy,
            "f1": dict(zip(names, f1.tolist(), strict=True)),
            "macro_f1_at_half": float(at_half.mean()),
            "thresholds": dict(zip(self.space.names, self._thresholds(decision), strict=True)),
            "num_frames": len(target),
        }

    def score_sums(
        self, target: np.ndarray, prediction: np.ndarray, decision: Decision, group: np.ndarray, num_groups: int
    ) -> np.ndarray:
        """`sums.attribute_sums` of each group."""
        return attribute_sums(target, self.answers(prediction, decision) > 0.5, prediction >= 0.5, group, num_groups)

    def scores_of_sums(self, sums: np.ndarray) -> Scores:
        """The numbers of `score` but for the thresholds."""
        scores = scores_of_attribute_sums(sums, self.space.names)
        criterion = np.vectorize(self._criterion, otypes=[float])(scores["macro_f1"], scores["accuracy"])
        return {"criterion": criterion, **scores}

    def criterion(self, scores: Mapping[str, Any]) -> float:
        """The macro F1."""
        return float(scores["criterion"])

    def chance(self, target: np.ndarray) -> dict[str, float]:
        """Each number by itself is the better of all attributes always present and all always absent."""
        num_known, num_present = np.isfinite(target).sum(0), (target > 0.5).sum(0)
        share = num_present[num_known > 0] / num_known[num_known > 0]
        always_f1, always_right = float((2 * share / (1 + share)).mean()), float(num_present.sum() / num_known.sum())
        accuracies = always_right, 1 - always_right
        return {
            "criterion": max(self._criterion(always_f1, accuracies[0]), self._criterion(0.0, accuracies[1])),
            "macro_f1": always_f1,
            "accuracy": max(accuracies),
        }

    def answers(self, prediction: np.ndarray, decision: Decision) -> np.ndarray:
        """1 or 0 for each attribute (n, attributes)."""
        return (prediction >= np.asarray(self._thresholds(decision), prediction.dtype)).astype(np.int64)

    def figures(self, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> dict[str, Figure]:
        """F1 of each attribute beside how often it is present, and predicted."""
        from abaw_ray.tasks.figures import attributes_figure

        answered, f1 = self.answers(prediction, decision) > 0.5, self.score(target, prediction, decision)["f1"]
        return {self.space.name: attributes_figure(target, answered, list(f1.values()), self.space)}

    def describe(self, vector: np.ndarray, decision: Decision) -> str:
        """Names of the attributes that are present."""
        present = self.answers(vector[None], decision)[0]
        return " ".join(name for name, is_present in zip(self.space.names, present, strict=True) if is_present)

    def _thresholds(self, decision: Decision) -> list[float]:
        return decision.get("thresholds", [0.5] * self.space.size)

    def _criterion(self, macro_f1: float, accuracy: float) -> float:
        return macro_f1
