"""What a head is: a network's features in, logits of one task out."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from abaw_ray.config import ModelConfig, Section


class Head(nn.Module):
    """A network's features (rows, in_features) -> the task's (rows, head_features) -> logits (rows, outputs).

    A head gives itself `features` and `classifier`, the two halves, which networks call one after the other.

    Args:
        in_features: length of what it takes.
        num_outputs: length of its logits.
        config: `head_features` is the length of what its classifier takes; dropout.
        options: its own.
    """

    Options: ClassVar[type[Section]] = Section
    """The options that the head has; none unless it says so."""
    features: nn.Module
    classifier: nn.Module

    def __init__(self, in_features: int, num_outputs: int, config: ModelConfig, options: Any) -> None:
        super().__init__()

    def rows(self, frames: Tensor, present: Tensor) -> Tensor:
        """What it takes of clips: each frame by itself.

        Args:
            frames: (clips, frames, in_features).
            present: (clips, frames) bool.

        Returns:
            (rows, in_features), with a row for every frame, clip after clip.
        """
        return frames.flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


def classifier(num_outputs: int, config: ModelConfig) -> nn.Sequential:
    """Dropout and a linear layer, the last of heads."""
    return nn.Sequential(nn.Dropout(config.head_dropout), nn.Linear(config.head_features, num_outputs))
