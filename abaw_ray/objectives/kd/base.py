"""What a KD loss is: how far a student's head is from its teacher's, row by row, whatever the task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from abaw_ray.config import Section
from abaw_ray.tasks.soft import Distributions


class KDOptions(Section):
    """Options of every KD loss."""

    weight: float = Field(1.0, gt=0)
    """Weight of the loss in the sum of all KD losses."""


@dataclass(frozen=True)
class Head:
    """What one head gives for the rows of a set.

    Args:
        distributions: at the temperature of distillation.
        features: (batch, width) that its classifier takes; None: not known, as of stored outputs.
    """

    distributions: Distributions
    features: Tensor | None


class KDLoss(nn.Module, ABC):
    """A loss between two heads of one task. Parameters that it has are trained with the student's.

    Args:
        options: of this loss.
        student: task -> length of the student's features.
        teacher: task -> length of the teacher's; empty where only its logits are known.
    """

    Options: ClassVar[type[KDOptions]] = KDOptions
    softened: ClassVar[bool] = True
    """Whether its gradients shrink with the temperature, so that `loss.temperature_squared` is for it."""

    uses_labels: ClassVar[bool] = False
    """Whether it takes `target`."""

    def __init__(self, options: KDOptions, student: Mapping[str, int], teacher: Mapping[str, int]) -> None:
        super().__init__()
        self.options = options

    @abstractmethod
    def forward(self, task: str, student: Head, teacher: Head, target: Tensor | None) -> Tensor:
        """The loss of each row (batch,), not yet weighted.

        Args:
            task: name of the task.
            student: what the student's head gives.
            teacher: what the teacher's gives for the same rows.
            target: (batch, groups) int64 class that a label says in each group of the distributions; -1: no label.
                None: no loss of the step uses labels.
        """
