"""What answers cost if only those that a network is most certain of are given: risk against coverage.

Geifman, El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017; the area under the curve is the
AURC of Geifman, Uziel, El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from abaw_ray.tasks.base import Decision, Task

COVERAGES = np.arange(1, 21) / 20
"""Those that are written down: 5 %, 10 %, ... all."""


@dataclass(frozen=True)
class RiskCoverage:
    """Risk against coverage.

    Args:
        risk: (n,) float64 mean loss of the k most certain of n answers, for k = 1 to n.
    """

    risk: np.ndarray

    @property
    def coverage(self) -> np.ndarray:
        """Share (n,) of the answers that each risk is of."""
        return np.arange(1, len(self.risk) + 1) / len(self.risk)

    @property
    def area(self) -> float:
        """Mean risk over all coverages; without regard to the order it is the mean loss."""
        return float(self.risk.mean())

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `area`, and `risk` at `COVERAGES`."""
        places = np.ceil(COVERAGES * len(self.risk)).astype(np.int64) - 1
        return {"area": self.area, "risk": self.risk[places].tolist()}


def risk_coverage(losses: np.ndarray, uncertainty: np.ndarray) -> RiskCoverage:
    """Risk against coverage of answers that are given up from the most uncertain one on.

    Answers that are equally uncertain are given up in any order: the risk is the mean over all orders.

    Args:
        losses: (n,) of each answer, n > 0.
        uncertainty: (n,) of each, in any unit. The losses themselves give the least area that there is.
    """
    _, level = np.unique(uncertainty, return_inverse=True)
    num = np.bincount(level)
    mean = np.bincount(level, losses) / num
    return RiskCoverage(np.cumsum(np.repeat(mean, num)) / np.arange(1, len(losses) + 1))


def answer_losses(task: Task, labels: np.ndarray, predictions: np.ndarray, decision: Decision) -> np.ndarray:
    """What each answer costs, (n,) float64: 1 for a wrong class, the share of the known attributes that are wrong, the
    mean over the known dimensions of the squared error.

    Args:
        task: whose answers they are.
        labels: (n, size), NaN where a number is not known; every row has one that is.
        predictions: (n, size).
        decision: the task's.
    """
    known = np.isfinite(labels)
    if task.space.kind == "multiclass":
        true, answered = (np.where(known, values, -1.0).argmax(1) for values in (labels, predictions))
        return (true != answered).astype(np.float64)
    if task.space.kind == "multilabel":
        costs = (labels > 0.5) != (task.answers(predictions, decision) > 0.5)
    else:
        costs = (labels.astype(np.float64) - predictions) ** 2
    return np.where(known, costs, 0.0).sum(1) / known.sum(1)
