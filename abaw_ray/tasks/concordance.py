"""The concordance correlation coefficient from sums over rows, so that it can be that of the global batch."""

from __future__ import annotations

import torch
from torch import Tensor

from abaw_ray.tasks.soft import masked_sum

NUM_MOMENTS = 6
_LEAST_VARIANCE = 1e-12  # below: the labels are all equal, up to float64 rounding of their moments


def moments(x: Tensor, y: Tensor, has: Tensor) -> list[Tensor]:
    """(n, Σx, Σy, Σx², Σy², Σxy) of predictions and labels, each (batch,) float64, over the rows of `has` (batch,)."""
    return [has.double().sum(), *(masked_sum(v, has) for v in (x, y, x * x, y * y, x * y))]


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
