"""The multi-task CNN: one backbone, one head a task (the paper's figure 2 and its reference code)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from abaw_ray.config import ModelConfig
from abaw_ray.models.backbone import create_backbone, feature_width
from abaw_ray.models.outputs import SetsOutput


class Head(nn.Module):
    """Backbone features (batch, in) -> task features (batch, hidden) -> logits (batch, out)."""

    def __init__(self, in_features: int, hidden: int, out_features: int, kind: str, dropout: float) -> None:
        super().__init__()
        reference = kind == "reference"
        self.features = nn.Sequential(
            nn.BatchNorm1d(in_features) if reference else nn.Identity(),
            nn.Linear(in_features, hidden),
            nn.ReLU(),
            nn.BatchNorm1d(hidden) if reference else nn.Identity(),
        )
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, out_features))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


class MultiTaskCNN(nn.Module):
    """Pixels -> logits of every task; normalises by its own mean and deviation, so that networks can be exchanged.

    Args:
        config: backbone, weights, heads, batch norm.
        outputs: task -> length of its output.
        image_size: side of the images in pixels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig, outputs: Mapping[str, int], image_size: int) -> None:
        super().__init__()
        self.backbone = create_backbone(config.backbone, image_size, config.weights)
        width = feature_width(self.backbone)
        self.heads = nn.ModuleDict(
            {t: Head(width, config.head_features, n, config.head, config.head_dropout) for t, n in outputs.items()}
        )
        self._head_features = config.head_features
        self._joint = config.batch_norm == "joint"
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """RGB images (batch, 3, H, W), 0-255 -> task -> logits (batch, outputs)."""
        return self._heads(images)[0]

    def task_features(self, images: Tensor) -> dict[str, Tensor]:
        """RGB images (batch, 3, H, W), 0-255 -> task -> what its classifier takes (batch, hidden), float32."""
        features = self.backbone_features(images)
        return {task: head.features(features).float() for task, head in self.heads.items()}  # type: ignore[operator]

    def forward_sets(self, images: Mapping[str, Tensor]) -> SetsOutput:
        """Logits and features of images by source set.

        Each set goes through by itself, so that batch norm sees one set's statistics at a time, unless the
        configuration says `joint`.
        """
        if not self._joint:
            parts = {name: self._heads(batch) for name, batch in images.items()}
            return SetsOutput({n: logits for n, (logits, _) in parts.items()}, {n: f for n, (_, f) in parts.items()})
        sizes = [len(batch) for batch in images.values()]
        logits, features = self._heads(torch.cat(list(images.values())))
        return SetsOutput(_split(logits, images, sizes), _split(features, images, sizes))

    @property
    def feature_widths(self) -> dict[str, int]:
        """Task -> length of what its classifier takes."""
        return dict.fromkeys(self.heads, self._head_features)

    def _heads(self, images: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Task -> logits, and task -> what its classifier takes."""
        shared = self.backbone_features(images)
        features = {task: head.features(shared) for task, head in self.heads.items()}  # type: ignore[operator]
        return {t: head.classifier(features[t]) for t, head in self.heads.items()}, features  # type: ignore[operator]

    def backbone_features(self, images: Tensor) -> Tensor:
        """RGB images (batch, 3, H, W), 0-255 -> what the heads take (batch, width)."""
        return self.backbone(normalised(images, self.mean, self.std))


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


def _split(outputs: Mapping[str, Tensor], names: Iterable[str], sizes: list[int]) -> dict[str, dict[str, Tensor]]:
    """Outputs of all sets together, by task -> by set and task."""
    parts = {task: values.split(sizes) for task, values in outputs.items()}
    return {name: {task: of_sets[i] for task, of_sets in parts.items()} for i, name in enumerate(names)}


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
