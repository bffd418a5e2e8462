"""A network's pass over all source sets of a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import nn

from abaw_ray.models.outputs import SetsOutput


class Network(nn.Module, ABC):
    """A network that can be trained."""

    @abstractmethod
    def forward_sets(self, inputs: Mapping[str, Any]) -> SetsOutput:
        """Logits and features of what it takes, by source set."""

    @property
    @abstractmethod
    def feature_widths(self) -> dict[str, int]:
        """Task -> length of what its classifier takes."""


class SetsForward(nn.Module):
    """`forward_sets` as a module's forward: DDP wants one forward a step."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Mapping[str, Any]) -> SetsOutput:
        return self.network.forward_sets(inputs)
