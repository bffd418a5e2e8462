"""A network's pass over all source sets of a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.outputs import SetsOutput
from abaw_ray.models.temporal import TemporalNetwork

Network = MultiTaskCNN | TemporalNetwork


class SetsForward(nn.Module):
    """`forward_sets` as a module's forward: DDP wants one forward a step."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Mapping[str, Any]) -> SetsOutput:
        return self.network.forward_sets(inputs)
