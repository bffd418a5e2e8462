"""A GRU in both directions (Vu et al., section 3.4); width and layers are those of its reference code."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from abaw_ray.models.sequences.base import Sequence


class TaskGRU(Sequence):
    """One layer in each direction, ReLU, linear."""

    def __init__(self, in_features: int, hidden: int, out_features: int, options: Any = None) -> None:
        super().__init__(in_features, hidden, out_features, options)
        self.gru = nn.GRU(in_features, hidden, batch_first=True, bidirectional=True)
        self.classifier = nn.Sequential(nn.ReLU(), nn.Linear(2 * hidden, out_features))

    def features(self, x: Tensor) -> Tensor:
        return self.gru(x)[0]


SEQUENCE = TaskGRU
