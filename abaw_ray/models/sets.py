"""A network's pass over all source sets of a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

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

    @property
    def shared_width(self) -> int | None:
        """Length of what all heads take, `SetsOutput.shared`; None: they do not share it."""
        return None


class Streams(NamedTuple):
    """Samples of several streams. A stream that no sample has may be left out.

    Args:
        streams: name -> (batch, *shape), or of clips (clips, frames, *shape); anything where it is missing.
        present: name -> (batch,) bool, or (clips, frames).
    """

    streams: Mapping[str, Tensor]
    present: Mapping[str, Tensor]


class FrameNetwork(Network):
    """A network that takes samples of streams, frame by frame. What it takes by source set are `Streams`."""

    @property
    @abstractmethod
    def streams(self) -> tuple[str, ...]:
        """Names of those that it takes."""

    @abstractmethod
    def of_streams(self, samples: Streams) -> dict[str, Tensor]:
        """Task -> logits (batch, outputs)."""


class SetsForward(nn.Module):
    """`forward_sets` as a module's forward: DDP wants one forward a step."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Mapping[str, Any]) -> SetsOutput:
        return self.network.forward_sets(inputs)
