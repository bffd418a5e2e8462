"""The multi-task CNN: one backbone, one head a task (the paper's figure 2 and its reference code)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from abaw_ray.config import ModelConfig, Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.backbone import create_backbone, feature_width
from abaw_ray.models.encoders.base import Shape
from abaw_ray.models.heads import build_head, head_of
from abaw_ray.models.kinds import input_shapes, own_heads
from abaw_ray.models.layers import freeze, keep_frozen
from abaw_ray.models.outputs import HeadsOutput, SetsOutput, split_outputs
from abaw_ray.models.parts import Setting
from abaw_ray.models.sets import FrameNetwork, Streams
from abaw_ray.models.weight_sources import colours_for
from abaw_ray.streams.base import FACE


class MultiTaskCNN(FrameNetwork):
    """Pixels -> logits of every task; normalises by its own mean and deviation, so that networks can be exchanged.

    Args:
        config: backbone, weights, heads, batch norm.
        outputs: task -> length of its output.
        image_size: side of the images in pixels.
        heads: task -> its head, where it is not that of `config`.

    Raises:
        ConfigurationError: an unknown head or option of one, encoders of streams, and as of `create_backbone`.
        MissingInputError: the file of weights is not there.
    """

    mean: Tensor
    std: Tensor
    streams = (FACE,)

    def __init__(
        self,
        config: ModelConfig,
        outputs: Mapping[str, int],
        image_size: int,
        heads: Mapping[str, Setting] | None = None,
    ) -> None:
        super().__init__()
        if config.encoders:
            raise ConfigurationError(
                f"model.encoders: found {', '.join(config.encoders)}, expected none: a CNN has faces alone"
            )
        self.backbone = create_backbone(config.backbone, image_size, config.weights)
        self._frozen_norms = freeze(self.backbone, config)
        self._width = width = feature_width(self.backbone)
        self.heads = nn.ModuleDict(
            {t: build_head(*head_of(t, config, heads), width, n, config) for t, n in outputs.items()}
        )
        self._head_features = config.head_features
        self._joint = config.batch_norm == "joint"
        self._grey = config.grey
        colours = colours_for(config.mean, config.std, config.weights, config.backbone)
        for key, values in colours._asdict().items():
            self.register_buffer(key, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> MultiTaskCNN:
        super().train(mode)
        keep_frozen(self._frozen_norms)
        return self

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """RGB images (batch, 3, H, W), 0-255 -> task -> logits (batch, outputs)."""
        return dict(self._heads(images).logits)

    def task_features(self, images: Tensor) -> dict[str, Tensor]:
        """RGB images (batch, 3, H, W), 0-255 -> task -> what its classifier takes (batch, hidden), float32."""
        features = self.backbone_features(images)
        return {task: head.features(features).float() for task, head in self.heads.items()}  # type: ignore[operator]

    def classified(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the classifiers make of `task_features`: task -> logits (batch, outputs)."""
        return {task: head.classifier(features[task]) for task, head in self.heads.items()}  # type: ignore[operator]

    def of_streams(self, samples: Streams) -> dict[str, Tensor]:
        return self(samples.streams[FACE])

    def forward_sets(self, inputs: Mapping[str, Streams]) -> SetsOutput:
        """Logits and features of images by source set.

        Each set goes through by itself, so that batch norm sees one set's statistics at a time, unless the
        configuration says `joint`.
        """
        images = {name: samples.streams[FACE] for name, samples in inputs.items()}
        if not self._joint:
            return SetsOutput.of_sets({name: self._heads(batch) for name, batch in images.items()})
        sizes = [len(batch) for batch in images.values()]
        joint = self._heads(torch.cat(list(images.values())))
        return split_outputs(joint, images, sizes)

    @property
    def feature_widths(self) -> dict[str, int]:
        """Task -> length of what its classifier takes."""
        return dict.fromkeys(self.heads, self._head_features)

    @property
    def shared_width(self) -> int:
        """Length of what all heads take."""
        return self._width

    def _heads(self, images: Tensor) -> HeadsOutput:
        shared = self.backbone_features(images)
        features = {task: head.features(shared) for task, head in self.heads.items()}  # type: ignore[operator]
        return HeadsOutput(self.classified(features), features, shared)

    def backbone_features(self, images: Tensor) -> Tensor:
        """RGB images (batch, 3, H, W), 0-255 -> what the heads take (batch, width)."""
        shown = without_colours(images) if self._grey else images
        return self.backbone(normalised(shown, self.mean, self.std))


def without_colours(images: Tensor) -> Tensor:
    """The luma (ITU-R BT.601) of RGB images (batch, 3, H, W), 0-255, uint8 or float32, in each channel: float32."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device).view(1, 3, 1, 1)
    luma = (images.float() * weights).sum(1, keepdim=True)
    layout = torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    return luma.repeat(1, 3, 1, 1).contiguous(memory_format=layout)


def normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(images - mean) / std of images (batch, 3, H, W) uint8 or float32: float32."""
    shift, scale = -mean / std, 1 / std
    if not images.is_contiguous(memory_format=torch.channels_last):
        return torch.addcmul(shift, images.float(), scale)
    # by whole lines: a CPU is five times as fast as on three channels at a time
    width = images.shape[3]
    lines = images.permute(0, 2, 3, 1).flatten(2)
    pixels = lines.float()
    out = None if pixels is lines else pixels
    result = torch.addcmul(shift.flatten().repeat(width), pixels, scale.flatten().repeat(width), out=out)
    return result.unflatten(2, (width, -1)).permute(0, 3, 1, 2)


NetworkT = TypeVar("NetworkT", bound=nn.Module)


def on_device(network: NetworkT, device: torch.device) -> NetworkT:
    """The network on its device, in the memory layout that convolutions are fastest in."""
    network.to(device)
    network.to(memory_format=torch.channels_last)
    if device.type == "cpu":
        _avoid_strided_pointwise(network)
    return network


def _avoid_strided_pointwise(network: nn.Module) -> None:
    """Leaves pixels out before 1 x 1 convolutions of few channels with a stride, instead of in them.

    The gradient of their weights is written beyond its memory on CPUs (oneDNN issue 6035), which ends the process or
    spoils other tensors. Stems of MobileOne, FastViT and RepVGG have such convolutions; the results are the same.
    """
    for module in network.modules():
        if not isinstance(module, nn.Conv2d) or module.kernel_size != (1, 1) or module.padding not in ((0, 0), "valid"):
            continue
        rows, columns = module.stride
        if module.groups == 1 and module.in_channels < 16 and rows * columns > 1:
            module.stride = (1, 1)
            module.register_forward_pre_hook(partial(_thinned, rows=rows, columns=columns))


def _thinned(module: nn.Module, inputs: tuple[Tensor], rows: int, columns: int) -> tuple[Tensor]:
    """Every `rows`-th row and `columns`-th column of the first input."""
    return (inputs[0][:, :, ::rows, ::columns],)


def build(recipe: Recipe, outputs: Mapping[str, int], shapes: Mapping[str, Shape]) -> MultiTaskCNN:
    """See `kinds.Build`."""
    return MultiTaskCNN(recipe.model, outputs, input_shapes(recipe, shapes)[FACE][-1], own_heads(recipe))


NETWORK = build
