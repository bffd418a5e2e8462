"""Numbers in dimensions: in 20 bins for each, with cross-entropy and CCC (equation 2) and distillation (equation 5).

As an option a network gives the numbers themselves: see `plain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import model_validator
from torch import Tensor

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.balance import cell_weights, cells
from abaw_ray.tasks.base import Decision, Role, TaskOptions, TrainLabels
from abaw_ray.tasks.bins import NUM_BINS, bin_values, bins_of
from abaw_ray.tasks.concordance import NUM_MOMENTS, ccc_from_moments, moments
from abaw_ray.tasks.metrics import mean_absolute_errors, regression_scores
from abaw_ray.tasks.plain import PlainForm, PlainOptions
from abaw_ray.tasks.soft import Distributions, masked_sum, ratio, softmax_distributions, zero_unlabelled
from abaw_ray.tasks.sums import LEAST_VARIANCE, Scores, scores_of_value_sums, value_sums

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RegressionOptions(PlainOptions):
    """Options of a regression."""

    form: Literal["binned", "plain"] = "binned"
    """binned: logits of 20 bins for each dimension; plain: a number for each."""

    @model_validator(mode="after")
    def _of_the_form(self) -> RegressionOptions:
        of_plain = sorted(self.model_fields_set & PlainOptions.model_fields.keys() - TaskOptions.model_fields.keys())
        if self.form == "binned" and of_plain:
            raise ValueError(f"{', '.join(of_plain)}: of the form plain, found the form binned")
        return self


class BinnedForm:
    """The first 20 outputs are the logits of the first dimension's bins, and so on; labels are the values."""

    def __init__(self, space: LabelSpace, loss: LossConfig, model: ModelConfig) -> None:
        self.space = space
        self.num_outputs = space.size * NUM_BINS
        self._ccc_weight = loss.ccc_weight
        self._binning = loss.va_binning
        self._decode = model.va_decode

    def statistics(self, logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Dimension by dimension, over the rows that have it: sum of the cross-entropies, the CCC's six moments."""
        predicted, target = self.decode(logits).double(), zero_unlabelled(target, labelled)
        has = labelled[:, None] & ~target.isnan()
        target = target.masked_fill(target.isnan(), self.space.low)
        bins = bins_of(target, self._binning, self.space.low, self.space.high)
        sums = []
        for d, dimension_logits in enumerate(self._by_dimension(logits).unbind(1)):
            x, y = predicted[:, d], target[:, d].double()
            sums.append(masked_sum(F.cross_entropy(dimension_logits, bins[:, d], reduction="none"), has[:, d]))
            sums += moments(x, y, has[:, d])
        return torch.stack(sums)

    def supervised(self, statistics: Tensor) -> Tensor:
        """Sum over the dimensions of cross-entropy + ccc_weight * (1 - CCC) (equation 2)."""
        losses = []
        for sums in statistics.view(self.space.size, 1 + NUM_MOMENTS):
            losses.append(ratio(sums[0], sums[1]) + self._ccc_weight * (1.0 - ccc_from_moments(sums[1:])))
        return torch.stack(losses).sum()

    def distributions(self, logits: Tensor, temperature: float) -> Distributions:
        """One over the bins of each dimension: SF(logits, T) of equation 5, (batch, dimensions, 20)."""
        return softmax_distributions(self._by_dimension(logits) / temperature)

    def logits_of(self, log_p: Tensor) -> Tensor:
        """The log-probabilities (batch, dimensions * 20)."""
        return log_p.flatten(1)

    def decode(self, logits: Tensor) -> Tensor:
        """Expected values over the bins (batch, dimensions)."""
        values = bin_values(self._decode, logits.device, self.space.low, self.space.high)
        return self._by_dimension(logits).softmax(-1) @ values

    def deviation(self, logits: Tensor) -> Tensor:
        """Standard deviations of the distributions over the bins (batch, dimensions)."""
        values = bin_values(self._decode, logits.device, self.space.low, self.space.high)
        probability = self._by_dimension(logits).softmax(-1)
        distance = values - (probability @ values)[..., None]
        return (probability * distance**2).sum(-1).sqrt()

    def _by_dimension(self, logits: Tensor) -> Tensor:
        return logits.float().view(-1, self.space.size, NUM_BINS)


class Regression:
    """Values from `low` to `high` in each dimension, NaN where a dimension is not known; the outputs are of a form."""

    Options: ClassVar[type[RegressionOptions]] = RegressionOptions

    def __init__(
        self,
        space: LabelSpace,
        loss: LossConfig,
        model: ModelConfig,
        options: RegressionOptions,
        train_labels: TrainLabels | None = None,
    ) -> None:
        del train_labels  # its losses do not weigh by them
        self.role: Role = options.role
        self.space = space
        self.is_plain = options.form == "plain"
        self._form = PlainForm(space, options) if self.is_plain else BinnedForm(space, loss, model)
        self.num_outputs, self.num_groups = self._form.num_outputs, space.size
        self._binning = loss.va_binning
        self._with_absolute_errors = True

    @property
    def columns(self) -> Mapping[str, str]:
        """CCC, root mean square error, then mean absolute error, of each dimension."""
        of_names = {"CCC": "ccc", "RMSE": "rmse", "MAE": "mae"}
        return {f"{title} {name}": f"{key}_{name}" for title, key in of_names.items() for name in self.space.names}

    def statistics(self, logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """The form's, over the rows and dimensions that are known."""
        return self._form.statistics(logits, target, labelled)

    def supervised(self, statistics: Tensor) -> Tensor:
        """The form's: a sum over the dimensions."""
        return self._form.supervised(statistics)

    def distributions(self, logits: Tensor, temperature: float) -> Distributions:
        """The form's, over 20 bins of each dimension: (batch, dimensions, 20)."""
        return self._form.distributions(logits, temperature)

    def logits_of(self, log_p: Tensor) -> Tensor:
        """The form's outputs (batch, num_outputs)."""
        return self._form.logits_of(log_p)

    def target_classes(self, target: Tensor, labelled: Tensor) -> Tensor:
        """The bin of each dimension (batch, dimensions)."""
        target = zero_unlabelled(target, labelled)
        bins = bins_of(target.nan_to_num(self.space.low), self._binning, self.space.low, self.space.high)
        return torch.where(labelled[:, None] & ~target.isnan(), bins, -1)

    def decode(self, logits: Tensor) -> Tensor:
        """Values from `low` to `high` (batch, dimensions)."""
        return self._form.decode(logits)

    def deviation(self, logits: Tensor) -> Tensor:
        """The form's standard deviations (batch, dimensions)."""
        return self._form.deviation(logits)

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
        """`metrics.regression_scores` and `metrics.mean_absolute_errors`, in the units of the labels."""
        scores, names = regression_scores(target, prediction, self.space.names), self.space.names
        return scores | mean_absolute_errors(target, prediction, names) if self._with_absolute_errors else scores

    def score_sums(
        self, target: np.ndarray, prediction: np.ndarray, decision: Decision, group: np.ndarray, num_groups: int
    ) -> np.ndarray:
        """`sums.value_sums` of each group."""
        return value_sums(target, prediction, (self.space.low + self.space.high) / 2, group, num_groups)

    def scores_of_sums(self, sums: np.ndarray) -> Scores:
        """The numbers of `score`, and the mean absolute errors."""
        return scores_of_value_sums(sums, self.space.names, LEAST_VARIANCE * (self.space.high - self.space.low) ** 2)

    def criterion(self, scores: Mapping[str, Any]) -> float:
        """Mean CCC over the dimensions."""
        return float(scores["ccc_mean"])

    def chance(self, target: np.ndarray) -> dict[str, float]:
        """The CCC of any prediction that is independent of the image is 0.

        The best constants err by the deviation from the mean (RMSE) and by that from the median (MAE).
        """
        known = {d: column[np.isfinite(column)] for d, column in zip(self.space.names, target.T, strict=True)}
        known = {d: values for d, values in known.items() if len(values)}
        chance = {f"ccc_{d}": 0.0 for d in known} | {
            f"rmse_{d}": float(values.std(dtype=np.float64)) for d, values in known.items()
        }
        if self._with_absolute_errors:
            chance |= {f"mae_{d}": float(np.abs(values - np.median(values)).mean()) for d, values in known.items()}
        return chance

    def answers(self, prediction: np.ndarray, decision: Decision) -> np.ndarray:
        """The values (n, dimensions)."""
        return prediction

    def figures(self, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> dict[str, Figure]:
        """Predicted against true values."""
        from abaw_ray.tasks.figures import values_figure

        return {self.space.name: values_figure(target, prediction, self.space)}

    def describe(self, vector: np.ndarray, decision: Decision) -> str:
        """Each with the initial of its dimension, and a sign."""
        pairs = zip(self.space.names, vector, strict=True)
        return " ".join(f"{name[0].upper()} {value:+.2f}" for name, value in pairs)


TASK = Regression
