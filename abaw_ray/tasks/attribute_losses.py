"""Losses of attributes by name: weighted cross-entropy, weighted squared error, asymmetric loss.

Each is in the two halves of `tasks.base`: sums over this worker's rows, and the loss of the sums over all workers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from abaw_ray.tasks.base import TaskOptions, TrainLabels
from abaw_ray.tasks.soft import masked_sum, ratio

MAX_POSITIVE_WEIGHT = 10.0
"""An attribute that is present in fewer frames would drown the others whenever it is seen."""

COUNT_OFFSET = 1.2
"""c of 1 / ln(c + count)."""

ABSENT_WEIGHT = 1e-4
"""Weight of the squared errors of an attribute that is nowhere present."""

SMALLEST = 1e-8
"""Least probability that is raised to a power."""

Loss = Literal["bce", "weighted_squared", "asymmetric"]


class LossOptions(TaskOptions):
    """Which loss attributes learn by."""

    loss: Loss = "bce"
    """bce: cross-entropy, where an attribute's presence weighs as much as its absence over the training labels;
    weighted_squared: w (p - y)² of the probability p and the label y, with the weight w = 1 / ln(1.2 + count) of an
    attribute's presences (Kosti et al., TPAMI 2020); asymmetric: that of Ridnik et al. (ICCV 2021). All are sums over
    attributes, and means over rows."""
    weights: Literal["dynamic", "static"] = "dynamic"
    """Of weighted_squared, where presences are counted: in the batch of all workers, or in the training set."""
    gamma_present: float = Field(0.0, ge=0)
    """Of asymmetric: the cross-entropy of a presence is multiplied by (1 - p) to this power."""
    gamma_absent: float = Field(4.0, ge=0)
    """Of asymmetric: that of an absence by q to this power, with q = max(p - shift, 0) in the place of p."""
    shift: float = Field(0.05, ge=0, lt=1)
    """Of asymmetric: an absence whose p is below it costs nothing."""

    @model_validator(mode="after")
    def _of_the_loss(self) -> LossOptions:
        of_losses = {"weights": "weighted_squared"}
        of_losses |= dict.fromkeys(("gamma_present", "gamma_absent", "shift"), "asymmetric")
        for name, loss in of_losses.items():
            if name in self.model_fields_set and self.loss != loss:
                raise ValueError(f"{name}: of the loss {loss}, found the loss {self.loss}")
        return self


class AttributeLoss(Protocol):
    """A loss in its two halves."""

    def statistics(self, logits: Tensor, present: Tensor, known: Tensor, labelled: Tensor) -> Tensor:
        """Sums (sums,) float64 over the labelled rows.

        Args:
            logits: (batch, attributes).
            present: (batch, attributes) labels, 0 where not known.
            known: (batch, attributes) bool.
            labelled: (batch,) bool.
        """
        ...

    def supervised(self, statistics: Tensor) -> Tensor:
        """The loss, a scalar; 0 without rows."""
        ...


class _MeanOverRows(ABC):
    """A loss of each attribute of each row by itself."""

    @abstractmethod
    def losses(self, logits: Tensor, present: Tensor) -> Tensor:
        """Of float32 logits and labels, each (batch, attributes)."""

    def statistics(self, logits: Tensor, present: Tensor, known: Tensor, labelled: Tensor) -> Tensor:
        losses = self.losses(logits.float(), present).masked_fill(~known, 0.0)
        return torch.stack([masked_sum(losses.sum(-1), labelled), labelled.double().sum()])

    def supervised(self, statistics: Tensor) -> Tensor:
        return ratio(statistics[0], statistics[1])


class CrossEntropy(_MeanOverRows):
    """Weights of presences are absences / presences in the training labels, at most 10, at least 0.1; else 1."""

    def __init__(self, size: int, options: LossOptions, train_labels: TrainLabels | None) -> None:
        self._positive_weights = torch.ones(size)
        if train_labels is not None:
            labels = train_labels()
            num_known = np.isfinite(labels).sum(0)
            num_present = np.nansum(labels, axis=0, dtype=np.float64)
            weights = (num_known - num_present) / np.maximum(num_present, 1)
            self._positive_weights = torch.tensor(weights).clamp(1 / MAX_POSITIVE_WEIGHT, MAX_POSITIVE_WEIGHT).float()

    def losses(self, logits: Tensor, present: Tensor) -> Tensor:
        # kept where they are used: a copy in every step would wait for the device
        self._positive_weights = weights = self._positive_weights.to(logits.device)
        return F.binary_cross_entropy_with_logits(logits, present, reduction="none", pos_weight=weights)


class Asymmetric(_MeanOverRows):
    """Asymmetric loss, of `LossOptions`; gradients go through the powers, too."""

    def __init__(self, size: int, options: LossOptions, train_labels: TrainLabels | None) -> None:
        self._options = options

    def losses(self, logits: Tensor, present: Tensor) -> Tensor:
        options, p = self._options, logits.sigmoid()
        of_presence = -F.logsigmoid(logits) * _power(1.0 - p, options.gamma_present)
        # log(1 - q) = log min(1, 1 - p + shift), from logits, of which 1 - p is exact
        log_rest = torch.logaddexp(F.logsigmoid(-logits), torch.full_like(logits, options.shift).log()).clamp(max=0.0)
        of_absence = -log_rest * _power(p - options.shift, options.gamma_absent)
        return present * of_presence + (1.0 - present) * of_absence


class WeightedSquared:
    """Weights follow from counts over all workers: see `LossOptions.loss`."""

    def __init__(self, size: int, options: LossOptions, train_labels: TrainLabels | None) -> None:
        self._size = size
        self._weights: Tensor | None = None
        if options.weights == "static" and train_labels is not None:
            self._weights = count_weights(torch.from_numpy(np.nansum(train_labels(), axis=0, dtype=np.float64)))

    def statistics(self, logits: Tensor, present: Tensor, known: Tensor, labelled: Tensor) -> Tensor:
        """By attribute the squared errors, then the presences; last the number of rows."""
        counts = known & labelled[:, None]
        errors = (logits.float().sigmoid() - present) ** 2
        of_attributes = [(values.double() * counts).sum(0) for values in (errors, present)]
        return torch.cat([*of_attributes, labelled.double().sum()[None]])

    def supervised(self, statistics: Tensor) -> Tensor:
        errors, presences, num_rows = statistics.split([self._size, self._size, 1])
        if self._weights is not None:
            self._weights = self._weights.to(statistics.device)
        weights = self._weights if self._weights is not None else count_weights(presences.detach())
        return ratio((weights * errors).sum(), num_rows[0])


def count_weights(counts: Tensor) -> Tensor:
    """Weights (attributes,) float64 of attributes that are present in `counts` rows: 1 / ln(1.2 + count); 0.0001 of 0.

    They fall with the count: 1.2683 of 1, 0.4139 of 10, 0.2166 of 100.
    """
    return torch.where(counts > 0, 1.0 / torch.log(COUNT_OFFSET + counts), ABSENT_WEIGHT)


def _power(values: Tensor, exponent: float) -> Tensor:
    """max(values, 0) ** exponent, 1 with the exponent 0; its gradient is a number at 0, too, whatever the exponent."""
    return values.clamp(min=SMALLEST) ** exponent if exponent else torch.ones_like(values)


LOSSES: dict[Loss, Callable[[int, LossOptions, TrainLabels | None], AttributeLoss]] = {
    "bce": CrossEntropy,
    "weighted_squared": WeightedSquared,
    "asymmetric": Asymmetric,
}
