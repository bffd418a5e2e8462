"""A Transformer's encoder, whose frames all see each other (Vaswani et al., NeurIPS 2017), norms first."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from abaw_ray.config import Section
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.sequences.base import Sequence

_LONGEST_WAVE = 10_000.0  # section 3.5


class TransformerOptions(Section):
    """Options of a Transformer. It is as wide as a GRU of both directions."""

    layers: int = Field(2, ge=1)
    attention_heads: int = Field(4, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)


class TaskTransformer(Sequence):
    """A linear layer, positions, layers of attention and of two linear ones, layer norm, linear.

    Positions are sines and cosines of the frames' numbers within the window (section 3.5), for windows of any length.
    """

    Options = TransformerOptions

    def __init__(
        self, in_features: int, hidden: int, out_features: int, options: TransformerOptions | None = None
    ) -> None:
        from timm.models.vision_transformer import Block

        super().__init__(in_features, hidden, out_features, options)
        options, width = options or TransformerOptions(), 2 * hidden
        if width % options.attention_heads:
            raise ConfigurationError(
                f"temporal.kind: {options.attention_heads} attention heads do not divide a width of {width},"
                " twice temporal.hidden"
            )
        self.inputs = nn.Linear(in_features, width)
        self.dropout = nn.Dropout(options.dropout)
        self.blocks = nn.Sequential(
            *(
                Block(
                    width,
                    options.attention_heads,
                    qkv_bias=True,
                    proj_drop=options.dropout,
                    attn_drop=options.dropout,
                    norm_layer=nn.LayerNorm,
                )
                for _ in range(options.layers)
            )
        )
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, out_features)

    def features(self, x: Tensor) -> Tensor:
        x = self.inputs(x)
        return self.norm(self.blocks(self.dropout(x + _positions(x))))


def _positions(x: Tensor) -> Tensor:
    """Sines, then cosines, of the numbers of frames (frames, width), for (batch, frames, width)."""
    half = x.shape[2] // 2
    frames = torch.arange(x.shape[1], device=x.device, dtype=x.dtype)
    rates = torch.exp(torch.arange(half, device=x.device, dtype=x.dtype) * (-math.log(_LONGEST_WAVE) / half))
    angles = frames[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


SEQUENCE = TaskTransformer
