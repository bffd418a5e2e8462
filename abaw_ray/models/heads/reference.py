"""The head of the reference code (Vu et al., ICCVW 2021)."""

from __future__ import annotations

from typing import Any

from torch import nn

from abaw_ray.config import ModelConfig
from abaw_ray.models.heads.base import Head, classifier


class ReferenceHead(Head):
    """Batch norm, linear, ReLU, batch norm; dropout, linear."""

    def __init__(self, in_features: int, num_outputs: int, config: ModelConfig, options: Any) -> None:
        super().__init__(in_features, num_outputs, config, options)
        hidden = config.head_features
        self.features = nn.Sequential(
            nn.BatchNorm1d(in_features), nn.Linear(in_features, hidden), nn.ReLU(), nn.BatchNorm1d(hidden)
        )
        self.classifier = classifier(num_outputs, config)


HEAD = ReferenceHead
