"""Gradient reversal (Ganin and Lempitsky, ICML 2015): the features learn to tell nothing of the head's task."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from abaw_ray.config import ModelConfig, Section
from abaw_ray.models.heads.paper import PaperHead


class ReversalOptions(Section):
    """Options of the head."""

    strength: float = Field(1.0, ge=0)
    """Factor of the reversed gradient that the network gets (lambda); the head itself learns by its loss as it is."""


class Reversed(torch.autograd.Function):
    """The input as it is; its gradient times -strength."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


class ReversedGradient(torch.nn.Module):
    """`Reversed` as a layer."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self._strength = strength

    def forward(self, x: Tensor) -> Tensor:
        return Reversed.apply(x, self._strength)


class ReversalHead(PaperHead):
    """The paper's head, which learns its task; the network before it learns the contrary. For nuisance tasks."""

    Options = ReversalOptions

    def __init__(self, in_features: int, num_outputs: int, config: ModelConfig, options: ReversalOptions) -> None:
        super().__init__(in_features, num_outputs, config, options)
        self.features[0] = ReversedGradient(options.strength)


HEAD = ReversalHead
