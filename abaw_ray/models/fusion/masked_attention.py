"""Attention over the streams that are there, as HEU Emotion's multimodal attention in general (Chen et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from abaw_ray.config import Section
from abaw_ray.models.fusion.base import Fusion


class AttentionOptions(Section):
    """Options of the fusion."""

    width: int = Field(256, ge=1)
    """Width that all streams are projected to, and of the result."""


class MaskedAttention(Fusion):
    """Sum of the streams' projections, weighted by a softmax over the streams that a row has.

    A stream's score depends on it alone, so that a row without one is as in a network that does not have the stream. A
    row without any is zeros.
    """

    Options = AttentionOptions

    def __init__(self, options: AttentionOptions, widths: Mapping[str, int]) -> None:
        super().__init__(options, widths)
        self.width = options.width
        self.projections = nn.ModuleDict({name: nn.Linear(width, options.width) for name, width in widths.items()})
        self.scores = nn.ModuleDict({name: nn.Linear(width, 1) for name, width in widths.items()})

    def forward(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        weights = self.weights(features, present)
        projected = torch.stack([self.projections[name](v) for name, v in features.items()], dim=1)
        return (weights[..., None] * projected).sum(1)

    def weights(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Weight of each stream (rows, streams), in the order of `features`: a sum of 1 where a row has any."""
        there = torch.stack([present[name] for name in features], dim=1)
        scores = torch.cat([self.scores[name](v) for name, v in features.items()], dim=1).float()
        # a softmax over nothing is NaN, which no mask takes out of a gradient
        nothing = ~there.any(1, keepdim=True)
        return scores.masked_fill(~there & ~nothing, -torch.inf).softmax(1).masked_fill(~there, 0.0)


FUSION = MaskedAttention
