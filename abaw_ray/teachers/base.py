"""What a teacher is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from abaw_ray.models.outputs import Outputs, SetsOutput


class Teacher(Protocol):
    """Says what a student is to learn."""

    @property
    def feature_widths(self) -> Mapping[str, int]:
        """Task -> length of the features that it gives; empty: only logits are known."""
        ...

    def outputs(self, inputs: Mapping[str, Any], stored: Outputs) -> SetsOutput:
        """What it says of the inputs of a step, without a graph.

        Args:
            inputs: source set -> what the student takes.
            stored: source set -> task -> logits that came with the batch, of outputs computed before; empty where
                there are none.
        """
        ...
