"""Distance between the features of the heads (FitNets, Romero et al. 2015, at the classifiers)."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from abaw_ray.errors import ConfigurationError
from abaw_ray.objectives.kd.base import Head, KDLoss, KDOptions


class Feature(KDLoss):
    """1 - cosine between the student's features, through a linear projection that is learned, and the teacher's.

    Raises:
        ConfigurationError: the teacher's features are not known.
    """

    softened = False

    def __init__(self, options: KDOptions, student: Mapping[str, int], teacher: Mapping[str, int]) -> None:
        super().__init__(options, student, teacher)
        if not teacher:
            raise ConfigurationError(
                "loss.kd.feature: only the teacher's logits are known; expected one network to ask"
            )
        self.projections = nn.ModuleDict({t: nn.Linear(width, teacher[t], bias=False) for t, width in student.items()})

    def forward(self, task: str, student: Head, teacher: Head, target: Tensor | None) -> Tensor:
        assert student.features is not None, "networks give features"
        assert teacher.features is not None, "asked for when the loss was made"
        projected = self.projections[task](student.features)
        return 1.0 - F.cosine_similarity(projected, teacher.features, dim=-1)


LOSS = Feature
