"""What networks give for the source sets of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

Outputs = Mapping[str, Mapping[str, Tensor]]
"""Source set -> task -> (batch, width)."""


@dataclass(frozen=True)
class SetsOutput:
    """What a network gives for the source sets of a step.

    Args:
        logits: (batch, outputs) of each task.
        features: (batch, width) that each task's classifier takes; empty where they are not known.
    """

    logits: Outputs
    features: Outputs
