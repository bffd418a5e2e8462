"""A frozen CNN, or several, and for each task a network over their features of consecutive frames: by default the
CNN-GRU of Vu et al., section 3.4, figure 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from abaw_ray.config import JoinedCNN, ModelConfig, Recipe, TemporalConfig
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.encoders.base import Shape
from abaw_ray.models.kinds import input_shapes, own_heads
from abaw_ray.models.outputs import HeadsOutput, SetsOutput
from abaw_ray.models.parts import Setting
from abaw_ray.models.sequences import build_sequence
from abaw_ray.models.sets import Network
from abaw_ray.streams.base import FACE


class JoinedCNNs(nn.Module):
    """CNNs of the same tasks, whose features are joined.

    Args:
        cnns: in the order of their features.
    """

    def __init__(self, cnns: Sequence[MultiTaskCNN]) -> None:
        super().__init__()
        self.cnns = nn.ModuleList(cnns)

    def task_features(self, images: Tensor) -> dict[str, Tensor]:
        """RGB images (batch, 3, H, W), 0-255 -> task -> what the CNNs' classifiers take, side by side (batch, sum of
        their widths), float32."""
        parts = [cnn.task_features(images) for cnn in self.cnns]  # type: ignore[operator]
        return {task: torch.cat([of_cnn[task] for of_cnn in parts], dim=1) for task in parts[0]}


class TemporalNetwork(Network):
    """Networks of `sequences` over the features of a CNN, which takes no gradient and stays in evaluation mode.

    The CNN, or the several of `temporal.joined`, is part of the network, so that a checkpoint is all that predictions
    need; training takes its features.

    Args:
        model: of the CNN.
        temporal: kind and width of what is over its features, and the CNNs that are joined to it.
        outputs: task -> length of its output.
        image_size: side of the CNN's images in pixels.
        heads: task -> its head in the CNN, where it is not that of `model`.

    Raises:
        ConfigurationError: an unknown kind or option of one, and as of `MultiTaskCNN`.
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
        first = MultiTaskCNN(model, outputs, image_size, heads)
        others = [_joined(joined, outputs, image_size) for joined in temporal.joined]
        self.cnn: MultiTaskCNN | JoinedCNNs = JoinedCNNs([first, *others]) if others else first
        self.cnn.eval().requires_grad_(False)
        self._hidden = temporal.hidden
        width = model.head_features + sum(joined.model.head_features for joined in temporal.joined)
        self.heads = nn.ModuleDict({task: build_sequence(temporal, width, n) for task, n in outputs.items()})

    @property
    def cnns(self) -> list[MultiTaskCNN]:
        """The CNNs in the order of their features."""
        return list(self.cnn.cnns) if isinstance(self.cnn, JoinedCNNs) else [self.cnn]  # type: ignore[arg-type]

    def train(self, mode: bool = True) -> TemporalNetwork:
        super().train(mode)
        self.cnn.eval()
        return self

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """CNN features (windows, frames, hidden) of some tasks -> logits (windows * frames, outputs) of the same."""
        return dict(self._heads(features).logits)

    def forward_sets(self, features: Mapping[str, Mapping[str, Tensor]]) -> SetsOutput:
        """Logits and features of every frame by source set, from the CNN's features by source set."""
        return SetsOutput.of_sets({name: self._heads(batch) for name, batch in features.items()})

    @property
    def feature_widths(self) -> dict[str, int]:
        """Task -> length of what its classifier takes."""
        return dict.fromkeys(self.heads, 2 * self._hidden)

    def _heads(self, features: Mapping[str, Tensor]) -> HeadsOutput:
        """Of each frame."""
        # they are small: float32 costs nothing
        with torch.autocast(next(iter(features.values())).device.type, enabled=False):
            of_frames = {task: self.heads[task].features(values.float()) for task, values in features.items()}  # type: ignore[operator]
            logits = {task: self.heads[task].classifier(values) for task, values in of_frames.items()}  # type: ignore[operator]
        flat, flat_features = ({t: v.flatten(0, 1) for t, v in values.items()} for values in (logits, of_frames))
        return HeadsOutput(flat, flat_features)


def _joined(config: JoinedCNN, tasks: Mapping[str, int], image_size: int) -> MultiTaskCNN:
    """A CNN with its heads of `tasks`, which must be among its own, for weights that are loaded whole afterwards."""
    outputs = {task: config.outputs[task] for task in tasks}
    return MultiTaskCNN(config.model.without_weights(), outputs, image_size, config.heads)


def build(recipe: Recipe, outputs: Mapping[str, int], shapes: Mapping[str, Shape]) -> TemporalNetwork:
    """See `kinds.Build`."""
    side = input_shapes(recipe, shapes)[FACE][-1]
    return TemporalNetwork(recipe.model, recipe.temporal, outputs, side, own_heads(recipe))


NETWORK = build
