"""Vectors, as features that were computed beforehand, by two layers."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from abaw_ray.config import ModelConfig, Section
from abaw_ray.models.encoders.base import Encoder, Shape


class VectorOptions(Section):
    """Options of the encoder."""

    width: int = Field(128, ge=1)
    """Length of its features."""
    dropout: float = Field(0.0, ge=0, lt=1)


class VectorMLP(Encoder):
    """Vectors (rows, length): layer norm, linear, ReLU, dropout, linear, ReLU."""

    Options = VectorOptions
    axes = ("length",)

    def __init__(self, options: VectorOptions, shape: Shape, config: ModelConfig) -> None:
        super().__init__(options, shape, config)
        self.width = options.width
        self.layers = nn.Sequential(
            nn.LayerNorm(shape[0]),
            nn.Linear(shape[0], options.width),
            nn.ReLU(),
            nn.Dropout(options.dropout),
            nn.Linear(options.width, options.width),
            nn.ReLU(),
        )

    def forward(self, vectors: Tensor) -> Tensor:
        return self.layers(vectors.float())


ENCODER = VectorMLP
