"""Numbers as they are, one output for each dimension: margin L2, smooth L1, squared error, or CCC.

Margin L2 and smooth L1 are those of EMOTIC (Kosti et al., TPAMI 2020), whose dimensions go from 1 to 10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import TaskOptions
from abaw_ray.tasks.bins import bin_values
from abaw_ray.tasks.concordance import NUM_MOMENTS, ccc_from_moments, moments
from abaw_ray.tasks.soft import Distributions, masked_sum, ratio, softmax_distributions, zero_unlabelled

MARGIN = 1 / 9
"""Of the range: EMOTIC's 1 of 1 to 10."""

DEVIATION = 1 / 8
"""Of the range: how far around an output its distribution reaches."""

Loss = Literal["margin_l2", "smooth_l1", "mse", "ccc"]


class PlainOptions(TaskOptions):
    """Options of a regression of plain numbers."""

    loss: Loss = "mse"
    """margin_l2: the squared error where it is at least the margin, else 0; smooth_l1: the error's square / (2 margin)
    below the margin, its size - margin / 2 above; mse: the squared error; ccc: 1 - CCC of the batch."""
    margin: float | None = Field(None, gt=0)
    """In units of the labels. None: a ninth of their range."""

    @model_validator(mode="after")
    def _of_the_loss(self) -> PlainOptions:
        if self.margin is not None and self.loss not in ("margin_l2", "smooth_l1"):
            raise ValueError(f"margin: of the losses margin_l2 and smooth_l1, found the loss {self.loss}")
        return self


class PlainForm:
    """The outputs are the values of the dimensions, in their own units."""

    def __init__(self, space: LabelSpace, options: PlainOptions) -> None:
        self.space = space
        self.num_outputs = space.size
        self._loss = options.loss
        self._margin = options.margin if options.margin is not None else MARGIN * (space.high - space.low)

    def statistics(self, logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Dimension by dimension, over the rows that have it: sum of the losses (0 with ccc), the CCC's six moments."""
        target = zero_unlabelled(target, labelled)
        has = labelled[:, None] & ~target.isnan()
        target = torch.where(has, target, self.space.low)
        errors = logits.float() - target
        losses = torch.zeros_like(errors) if self._loss == "ccc" else ERRORS[self._loss](errors, self._margin)
        sums = []
        for d in range(self.space.size):
            x, y = logits[:, d].double(), target[:, d].double()
            sums += [masked_sum(losses[:, d], has[:, d]), *moments(x, y, has[:, d])]
        return torch.stack(sums)

    def supervised(self, statistics: Tensor) -> Tensor:
        """Sum over the dimensions of the mean loss over the rows that have it, or of 1 - CCC over them."""
        losses = []
        for sums in statistics.view(self.space.size, 1 + NUM_MOMENTS):
            losses.append(1.0 - ccc_from_moments(sums[1:]) if self._loss == "ccc" else ratio(sums[0], sums[1]))
        return torch.stack(losses).sum()

    def distributions(self, logits: Tensor, temperature: float) -> Distributions:
        """The normal distribution that each output stands for, over 20 bins: (batch, dimensions, 20)."""
        return softmax_distributions(self._bin_logits(logits) / temperature)

    def logits_of(self, log_p: Tensor) -> Tensor:
        """The means of the distributions, as outputs: (batch, dimensions)."""
        return log_p.exp() @ self._centres(log_p.device)

    def decode(self, logits: Tensor) -> Tensor:
        """The outputs, cut off at `low` and `high`, beyond which no label is: every error gets smaller by it.

        The losses are of the outputs themselves, so that one beyond the range is drawn back.
        """
        return logits.float().clamp(self.space.low, self.space.high)

    def deviation(self, logits: Tensor) -> Tensor:
        """That of the normal distributions that the outputs stand for, the same for all (batch, dimensions)."""
        return torch.full_like(logits, DEVIATION * (self.space.high - self.space.low), dtype=torch.float32)

    def _bin_logits(self, outputs: Tensor) -> Tensor:
        """Outputs (batch, dimensions) as logits of 20 bins (batch, dimensions, 20), as those of the binned form.

        An output stands for a normal distribution around it, of one deviation for all, at the centres of the bins. Well
        within the range, the divergence of two is their squared distance / (2 deviation²) at temperature 1.
        """
        deviation = DEVIATION * (self.space.high - self.space.low)
        return -((outputs.float()[..., None] - self._centres(outputs.device)) ** 2) / (2 * deviation**2)

    def _centres(self, device: torch.device) -> Tensor:
        return bin_values("centres", device, self.space.low, self.space.high)


def _margin_l2(errors: Tensor, margin: float) -> Tensor:
    return torch.where(errors.abs() >= margin, errors**2, 0.0)


def _smooth_l1(errors: Tensor, margin: float) -> Tensor:
    return F.smooth_l1_loss(errors, torch.zeros_like(errors), reduction="none", beta=margin)


def _squared(errors: Tensor, margin: float) -> Tensor:
    return errors**2


ERRORS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "margin_l2": _margin_l2,
    "smooth_l1": _smooth_l1,
    "mse": _squared,
}
