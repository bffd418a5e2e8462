"""What an encoder is: samples of one stream in, a vector of each out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn

from abaw_ray.config import ModelConfig, Section

Shape = Sequence[int]
"""Of one sample of a stream, as (3, 112, 112)."""


class Encoder(nn.Module):
    """Samples of a stream (rows, *shape) -> features (rows, width). It gives itself its `width`.

    Args:
        options: its own.
        shape: of one sample.
        config: what its options leave open.
    """

    Options: ClassVar[type[Section]] = Section
    """The options that the encoder has; none unless it says so. One called `weights` is a file of first weights; None:
    random ones."""
    axes: ClassVar[tuple[str, ...]]
    """Names of the axes of the samples that it takes, for messages; empty: any."""
    width: int

    def __init__(self, options: Any, shape: Shape, config: ModelConfig) -> None:
        super().__init__()
