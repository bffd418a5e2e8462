"""What a network over the frames of a window is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from abaw_ray.config import Section


class Sequence(nn.Module, ABC):
    """Features of consecutive frames (batch, frames, in) -> logits of each (batch, frames, out); any number of frames.

    It gives itself its `classifier`, which takes `2 * hidden` of each frame.

    Args:
        in_features: length of a frame's features.
        hidden: half the width.
        out_features: length of a frame's logits.
        options: its own; None: the defaults.
    """

    Options: ClassVar[type[Section]] = Section
    """The options that it has; none unless it says so."""
    classifier: nn.Module

    def __init__(self, in_features: int, hidden: int, out_features: int, options: Any = None) -> None:
        super().__init__()

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """What the classifier takes, of each frame: (batch, frames, 2 * hidden)."""

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))
