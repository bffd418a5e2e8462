"""What is exported: faces in, calibrated predictions out, with everything between them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.decoding import calibrated
from abaw_ray.inference.export.recurrence import over_frames
from abaw_ray.inference.export.view import CentreView
from abaw_ray.inference.model_info import ModelInfo
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.sets import Network
from abaw_ray.models.streams import MultiStreamNetwork
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.streams.base import FACE

INPUT = "faces"


class FaceGraph(nn.Module):
    """Faces (n, size, size, 3) uint8 RGB -> predictions by name, as `Model.predict` gives them.

    Args:
        trained: the checkpoint.
        info: of the model that it becomes.
    """

    def __init__(self, trained: Checkpoint, info: ModelInfo) -> None:
        super().__init__()
        self.view = CentreView(info.image_size, trained.recipe.augment)
        # the layout of memory that convolutions are fastest in here would be written out as transpositions
        network = trained.network(torch.device("cpu")).to(memory_format=torch.contiguous_format)
        self.logits = _logits_of(network.requires_grad_(False), info)
        self._tasks, self._info = trained.tasks(trained.recipe), info

    def forward(self, faces: Tensor) -> dict[str, Tensor]:
        return calibrated(self._tasks, self._info, self.logits(self.view(faces)))


class _TemporalLogits(nn.Module):
    """Views (n, 3, size, size) of the frames of one window -> task -> logits (n, outputs)."""

    def __init__(self, network: TemporalNetwork, window: int) -> None:
        super().__init__()
        self.cnn, self.recurrence = network.cnn, over_frames(network, window)

    def forward(self, views: Tensor) -> Mapping[str, Tensor]:
        return self.recurrence(self.cnn.task_features(views))


class _StreamLogits(nn.Module):
    """As `MultiStreamNetwork` with faces alone, all of which are there."""

    def __init__(self, network: MultiStreamNetwork) -> None:
        super().__init__()
        self.encoder, self.fusion, self.heads = network.encoders[FACE], network.fusion, network.heads

    def forward(self, views: Tensor) -> Mapping[str, Tensor]:
        present = torch.ones_like(views[:, 0, 0, 0], dtype=torch.bool)
        fused = self.fusion({FACE: self.encoder(views)}, {FACE: present})
        return {task: head(fused) for task, head in self.heads.items()}


def _logits_of(network: Network, info: ModelInfo) -> nn.Module:
    if isinstance(network, TemporalNetwork):
        assert info.window is not None, "a temporal network has a window"
        return _TemporalLogits(network, info.window)
    if isinstance(network, MultiStreamNetwork):
        return _StreamLogits(network)
    if isinstance(network, MultiTaskCNN):
        return network
    raise ConfigurationError(f"{info.source}: a network of the kind {info.kind}, which has no form as a file")
