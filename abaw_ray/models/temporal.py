"""The CNN-GRU: a frozen CNN, and for each task a GRU over its features (Vu et al., section 3.4, figure 3).

The paper gives no numbers for the GRU; width and layers are those of its reference code.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from abaw_ray.blocks.schema import FACE
from abaw_ray.config import ModelConfig, Recipe, TemporalConfig
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.encoders.base import Shape
from abaw_ray.models.kinds import own_heads
from abaw_ray.models.parts import Setting
from abaw_ray.models.sets import Network


class TaskGRU(nn.Module):
    """Features of consecutive frames (batch, frames, in) -> logits of each (batch, frames, out)."""

    def __init__(self, in_features: int, hidden: int, out_features: int) -> None:
        super().__init__()
        self.gru = nn.GRU(in_features, hidden, batch_first=True, bidirectional=True)
        self.classifier = nn.Sequential(nn.ReLU(), nn.Linear(2 * hidden, out_features))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.gru(x)[0])


class TemporalNetwork(Network):
    """GRUs over the features of a CNN, which takes no gradient and stays in evaluation mode.

    The CNN is part of the network, so that a checkpoint is all that predictions need; training takes its features.

    Args:
        model: of the CNN.
        temporal: of the GRUs.
        outputs: task -> length of its output.
        image_size: side of the CNN's images in pixels.
        heads: task -> its head in the CNN, where it is not that of `model`.
    """

    def __init__(
        self,
        model: ModelConfig,
        temporal: TemporalConfig,
        outputs: Mapping[str, int],
        image_size: int,
        heads: Mapping[str, Setting] | None = None,
    ) -> None:
        super().__init__()
        self.cnn = MultiTaskCNN(model, outputs, image_size, heads).eval().requires_grad_(False)
        self.heads = nn.ModuleDict(
            {task: TaskGRU(model.head_features, temporal.hidden, n) for task, n in outputs.items()}
        )

    def train(self, mode: bool = True) -> TemporalNetwork:
        super().train(mode)
        self.cnn.eval()
        return self

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """CNN features (windows, frames, hidden) of some tasks -> logits (windows * frames, outputs) of the same."""
        # the GRUs are small: float32 costs nothing
        with torch.autocast(next(iter(features.values())).device.type, enabled=False):
            return {task: self.heads[task](values.float()).flatten(0, 1) for task, values in features.items()}

    def forward_sets(self, features: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
        """Features by source set -> logits by source set and task."""
        return {name: self(batch) for name, batch in features.items()}


def build(recipe: Recipe, outputs: Mapping[str, int], shapes: Mapping[str, Shape]) -> TemporalNetwork:
    """See `kinds.Build`."""
    return TemporalNetwork(recipe.model, recipe.temporal, outputs, shapes[FACE][-1], own_heads(recipe))


NETWORK = build
