"""Numbers in 20 bins for each dimension: cross-entropy and CCC (equation 2), distillation (equation 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.balance import cell_weights, cells
from abaw_ray.tasks.base import Decision, TrainLabels
from abaw_ray.tasks.metrics import regression_scores
from abaw_ray.tasks.soft import Distributions, known, masked_sum, ratio, softmax_distributions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_BINS = 20
_NUM_MOMENTS = 6
_LEAST_VARIANCE = 1e-12  # below: the labels are all equal, up to float64 rounding of their moments


def bins_of(values: Tensor, binning: str = "exact", low: float = -1.0, high: float = 1.0) -> Tensor:
    """Index of the right-open bin, one of 20 of equal width on [low, high]; `high` belongs to the last.

    Args:
        values: any shape, in [low, high].
        binning: `exact` puts a label that is an edge up to float32 rounding (as all of AFEW-VA's) into the bin
            that starts there; `float32` compares float32 labels with float64 edges, as the reference does.
        low: least value.
        high: greatest value.
    """
    if binning == "exact":
        bins = torch.floor((values.double() - low) * (NUM_BINS / (high - low)) + 1e-5).long()
    else:
        edges = torch.linspace(low, high, NUM_BINS + 1, dtype=torch.float64, device=values.device)
        bins = torch.bucketize(values.float().double(), edges, right=True) - 1
    return bins.clamp(0, NUM_BINS - 1)


def bin_values(
    decode: str = "endpoints", device: torch.device | None = None, low: float = -1.0, high: float = 1.0
) -> Tensor:
    """Value of each bin, (20,): `endpoints` from low to high (reference: -1 + 2k/19), `centres` of the bins."""
    margin = 0.0 if decode == "endpoints" else (high - low) / (2 * NUM_BINS)
    return torch.linspace(low + margin, high - margin, NUM_BINS, device=device)


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


class BinnedRegression:
    """The first 20 outputs are the logits of the first dimension's bins, and so on; labels are the values."""

    def __init__(
        self, space: LabelSpace, loss: LossConfig, model: ModelConfig, train_labels: TrainLabels | None = None
    ) -> None:
        del train_labels
        self.space = space
        self.num_outputs, self.num_groups = space.size * NUM_BINS, space.size
        self._ccc_weight = loss.ccc_weight
        self._binning = loss.va_binning
        self._decode = model.va_decode

    @property
    def columns(self) -> Mapping[str, str]:
        """CCC, then root mean square error, of each dimension."""
        cccs = {f"CCC {name}": f"ccc_{name}" for name in self.space.names}
        return cccs | {f"RMSE {name}": f"rmse_{name}" for name in self.space.names}

    def statistics(self, logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Dimension by dimension, over the rows that have it: sum of the cross-entropies, the CCC's six moments."""
        predicted, target = self.decode(logits).double(), known(target, labelled)
        has = labelled[:, None] & ~target.isnan()
        target = target.masked_fill(target.isnan(), self.space.low)
        bins = bins_of(target, self._binning, self.space.low, self.space.high)
        sums = []
        for d, dimension_logits in enumerate(self._by_dimension(logits).unbind(1)):
            x, y = predicted[:, d], target[:, d].double()
            sums.append(masked_sum(F.cross_entropy(dimension_logits, bins[:, d], reduction="none"), has[:, d]))
            sums.append(has[:, d].double().sum())
            sums += [masked_sum(v, has[:, d]) for v in (x, y, x * x, y * y, x * y)]
        return torch.stack(sums)

    def supervised(self, statistics: Tensor) -> Tensor:
        """Sum over the dimensions of cross-entropy + ccc_weight * (1 - CCC) (equation 2)."""
        losses = []
        for sums in statistics.view(self.space.size, 1 + _NUM_MOMENTS):
            losses.append(ratio(sums[0], sums[1]) + self._ccc_weight * (1.0 - ccc_from_moments(sums[1:])))
        return torch.stack(losses).sum()

    def distributions(self, logits: Tensor, temperature: float) -> Distributions:
        """One over the bins of each dimension: SF(logits, T) of equation 5, (batch, dimensions, 20)."""
        return softmax_distributions(self._by_dimension(logits) / temperature)

    def logits_of(self, log_p: Tensor) -> Tensor:
        """The log-probabilities (batch, dimensions * 20)."""
        return log_p.flatten(1)

    def target_classes(self, target: Tensor, labelled: Tensor) -> Tensor:
        """The bin of each dimension (batch, dimensions)."""
        target = known(target, labelled)
        bins = bins_of(target.nan_to_num(self.space.low), self._binning, self.space.low, self.space.high)
        return torch.where(labelled[:, None] & ~target.isnan(), bins, -1)

    def decode(self, logits: Tensor) -> Tensor:
        """Expected values over the bins (batch, dimensions)."""
        values = bin_values(self._decode, logits.device, self.space.low, self.space.high)
        return self._by_dimension(logits).softmax(-1) @ values

    def balance_weights(self, labels: np.ndarray) -> np.ndarray:
        """Every cell of the histogram over all dimensions equally often."""
        return cell_weights(labels)

    def balance_groups(self, labels: np.ndarray) -> np.ndarray:
        """The cells."""
        return cells(labels)

    def fit_decision(self, target: np.ndarray, prediction: np.ndarray) -> Decision:
        """Nothing: the predictions are the answers."""
        return {}

    def score(self, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> dict[str, Any]:
        """See `metrics.regression_scores`."""
        return regression_scores(target, prediction, self.space.names)

    def criterion(self, scores: Mapping[str, Any]) -> float:
        """Mean CCC over the dimensions."""
        return float(scores["ccc_mean"])

    def chance(self, target: np.ndarray) -> dict[str, float]:
        """The CCC of any prediction that is independent of the image is 0; the best constant errs by the deviation."""
        known = {d: column[np.isfinite(column)] for d, column in zip(self.space.names, target.T, strict=True)}
        known = {d: values for d, values in known.items() if len(values)}
        return {f"ccc_{d}": 0.0 for d in known} | {
            f"rmse_{d}": float(values.std(dtype=np.float64)) for d, values in known.items()
        }

    def answers(self, prediction: np.ndarray, decision: Decision) -> np.ndarray:
        """The values (n, dimensions)."""
        return prediction

    def figures(self, target: np.ndarray, prediction: np.ndarray) -> dict[str, Figure]:
        """Predicted against true values."""
        from abaw_ray.tasks.figures import scatter_figure

        return {self.space.name: scatter_figure(target, prediction, self.space)}

    def describe(self, vector: np.ndarray, decision: Decision) -> str:
        """Each with the initial of its dimension, and a sign."""
        pairs = zip(self.space.names, vector, strict=True)
        return " ".join(f"{name[0].upper()} {value:+.2f}" for name, value in pairs)

    def _by_dimension(self, logits: Tensor) -> Tensor:
        return logits.float().view(-1, self.space.size, NUM_BINS)


TASK = BinnedRegression
