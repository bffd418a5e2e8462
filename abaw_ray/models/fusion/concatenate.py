"""All streams side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from abaw_ray.models.fusion.base import Fusion


class Concatenate(Fusion):
    """The features of all streams, one after the other; zeros in the place of a stream that is missing."""

    def __init__(self, options: Any, widths: Mapping[str, int]) -> None:
        super().__init__(options, widths)
        self.width = sum(widths.values())

    def forward(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([v.masked_fill(~present[name][:, None], 0.0) for name, v in features.items()], dim=1)


FUSION = Concatenate
