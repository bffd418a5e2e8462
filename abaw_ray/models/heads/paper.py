"""The head that the paper describes (Vu et al., ICCVW 2021, figure 2)."""

from __future__ import annotations

from typing import Any

from torch import nn

from abaw_ray.config import ModelConfig
from abaw_ray.models.heads.base import Head, classifier


class PaperHead(Head):
    """Linear, ReLU; dropout, linear. Its tensors have the names that they have in the reference head."""

    features: nn.Sequential

    def __init__(self, in_features: int, num_outputs: int, config: ModelConfig, options: Any) -> None:
        super().__init__(in_features, num_outputs, config, options)
        self.features = nn.Sequential(
            nn.Identity(), nn.Linear(in_features, config.head_features), nn.ReLU(), nn.Identity()
        )
        self.classifier = classifier(num_outputs, config)


HEAD = PaperHead
