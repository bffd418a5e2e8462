"""A number as one of 20 bins."""

from __future__ import annotations

import torch
from torch import Tensor

NUM_BINS = 20


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
