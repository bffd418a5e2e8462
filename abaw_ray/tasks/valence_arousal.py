"""Valence and arousal in 20 bins each: cross-entropy and CCC (equation 2), distillation (equation 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.labels import DIMENSIONS
from abaw_ray.tasks.balance import cell_weights, cells
from abaw_ray.tasks.base import Decision, TrainLabels
from abaw_ray.tasks.metrics import valence_arousal_scores
from abaw_ray.tasks.soft import kl_divergence, known, masked_sum, ratio

NUM_BINS = 20
_NUM_MOMENTS = 6
_LEAST_VARIANCE = 1e-12  # below: the labels are all equal, up to float64 rounding of their moments


def va_bins(values: Tensor, binning: str = "exact") -> Tensor:
    """Index of the right-open bin, one of 20 of equal width on [-1, 1]; 1 belongs to the last.

    Args:
        values: any shape, in [-1, 1].
        binning: `exact` puts a label that is an edge up to float32 rounding (as all of AFEW-VA's) into the bin
            that starts there; `float32` compares float32 labels with float64 edges, as the reference does.
    """
    if binning == "exact":
        bins = torch.floor((values.double() + 1.0) * (NUM_BINS / 2) + 1e-5).long()
    else:
        edges = torch.linspace(-1.0, 1.0, NUM_BINS + 1, dtype=torch.float64, device=values.device)
        bins = torch.bucketize(values.float().double(), edges, right=True) - 1
    return bins.clamp(0, NUM_BINS - 1)


def bin_values(decode: str = "endpoints", device: torch.device | None = None) -> Tensor:
    """Value of each bin, (20,): `endpoints` -1 + 2k/19 (reference), `centres` -0.95 + 0.1k."""
    limit = 1.0 if decode == "endpoints" else 1.0 - 1.0 / NUM_BINS
    return torch.linspace(-limit, limit, NUM_BINS, device=device)


def ccc_from_moments(moments: Tensor) -> Tensor:
    """Concordance correlation coefficient from (n, Σx, Σy, Σx², Σy², Σxy), with unbiased variances as the reference.

    Args:
        moments: (6,) float64; x are predictions, y labels.

    Returns:
        A scalar in [-1, 1]; 1, with no gradient, when fewer than two distinct labels make it undefined, so that the
        loss 1 - CCC vanishes.
    """
    n, sum_x, sum_y, sum_xx, sum_yy, sum_xy = moments
    n = n.clamp(min=1.0)
    mean_x, mean_y = sum_x / n, sum_y / n
    var_x = (sum_xx / n - mean_x**2).clamp(min=0.0)
    var_y = (sum_yy / n - mean_y**2).clamp(min=0.0)
    covariance = sum_xy / n - mean_x * mean_y
    unbiased = n / (n - 1.0).clamp(min=1.0)
    defined = var_y > _LEAST_VARIANCE
    denominator = (var_x + var_y) * unbiased + (mean_x - mean_y) ** 2
    ccc = 2.0 * covariance * unbiased / torch.where(defined, denominator, torch.ones_like(denominator))
    return torch.where(defined, ccc, torch.ones_like(ccc))


class ValenceArousal:
    """Outputs 0-19 are the logits of valence's bins, 20-39 of arousal's; labels are (valence, arousal)."""

    name = "valence_arousal"
    num_outputs = len(DIMENSIONS) * NUM_BINS
    columns: ClassVar[Mapping[str, str]] = {
        "CCC V": "ccc_valence",
        "CCC A": "ccc_arousal",
        "RMSE V": "rmse_valence",
        "RMSE A": "rmse_arousal",
    }

    def __init__(self, loss: LossConfig, model: ModelConfig, train_labels: TrainLabels | None = None) -> None:
        del train_labels
        self._ccc_weight = loss.ccc_weight
        self._binning = loss.va_binning
        self._decode = model.va_decode

    def statistics(self, logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Valence, then arousal: sum of the cross-entropies, and the six moments of the CCC."""
        predicted, target = self.decode(logits).double(), known(target, labelled)
        bins = va_bins(target, self._binning)
        sums = []
        for d, dimension_logits in enumerate(self._by_dimension(logits).unbind(1)):
            x, y = predicted[:, d], target[:, d].double()
            sums.append(masked_sum(F.cross_entropy(dimension_logits, bins[:, d], reduction="none"), labelled))
            sums.append(labelled.double().sum())
            sums += [masked_sum(v, labelled) for v in (x, y, x * x, y * y, x * y)]
        return torch.stack(sums)

    def supervised(self, statistics: Tensor) -> Tensor:
        """Sum over both dimensions of cross-entropy + ccc_weight * (1 - CCC) (equation 2)."""
        losses = []
        for sums in statistics.view(len(DIMENSIONS), 1 + _NUM_MOMENTS):
            losses.append(ratio(sums[0], sums[1]) + self._ccc_weight * (1.0 - ccc_from_moments(sums[1:])))
        return torch.stack(losses).sum()

    def soft_losses(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """H2, row by row (equation 5): (batch,)."""
        return kl_divergence(self._by_dimension(student), self._by_dimension(teacher), temperature).sum(-1)

    def decode(self, logits: Tensor) -> Tensor:
        """Expected valence and arousal over the bins (batch, 2)."""
        return self._by_dimension(logits).softmax(-1) @ bin_values(self._decode, logits.device)

    def balance_weights(self, labels: np.ndarray) -> np.ndarray:
        """Every cell of the plane equally often."""
        return cell_weights(labels)

    def balance_groups(self, labels: np.ndarray) -> np.ndarray:
        """The cells."""
        return cells(labels)

    def fit_decision(self, target: np.ndarray, prediction: np.ndarray) -> Decision:
        """Nothing: the predictions are the answers."""
        return {}

    def score(self, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> dict[str, Any]:
        """See `metrics.valence_arousal_scores`."""
        return valence_arousal_scores(target, prediction)

    def criterion(self, scores: Mapping[str, Any]) -> float:
        """CCC of valence + CCC of arousal."""
        return float(scores["ccc_valence"] + scores["ccc_arousal"])

    def chance(self, target: np.ndarray) -> dict[str, float]:
        """The CCC of any prediction that is independent of the image is 0; the best constant errs by the deviation."""
        deviations = target.std(0, dtype=np.float64)
        return {f"ccc_{d}": 0.0 for d in DIMENSIONS} | {
            f"rmse_{d}": float(s) for d, s in zip(DIMENSIONS, deviations, strict=True)
        }

    def answers(self, prediction: np.ndarray, decision: Decision) -> np.ndarray:
        """Valence and arousal (n, 2)."""
        return prediction

    def describe(self, vector: np.ndarray, decision: Decision) -> str:
        """Both with a sign."""
        return f"V {vector[0]:+.2f} A {vector[1]:+.2f}"

    @staticmethod
    def _by_dimension(logits: Tensor) -> Tensor:
        return logits.float().view(-1, len(DIMENSIONS), NUM_BINS)


TASK = ValenceArousal
