"""Valence and arousal, with the criteria of the ABAW competition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import TrainLabels
from abaw_ray.tasks.criteria import Criterion
from abaw_ray.tasks.regression import Regression, RegressionOptions


class ValenceArousalOptions(RegressionOptions):
    """Which criterion selects models."""

    criterion: Criterion = "abaw2"
    """abaw2: the sum of both CCCs; abaw3: their mean."""


class ValenceArousal(Regression):
    """A regression whose criterion is the sum of both CCCs, or their mean."""

    Options: ClassVar[type[RegressionOptions]] = ValenceArousalOptions
    columns: ClassVar[Mapping[str, str]] = {
        "CCC V": "ccc_valence",
        "CCC A": "ccc_arousal",
        "RMSE V": "rmse_valence",
        "RMSE A": "rmse_arousal",
    }

    def __init__(
        self,
        space: LabelSpace,
        loss: LossConfig,
        model: ModelConfig,
        options: ValenceArousalOptions,
        train_labels: TrainLabels | None = None,
    ) -> None:
        super().__init__(space, loss, model, options, train_labels)
        self._of = options.criterion
        self._with_absolute_errors = self.is_plain  # the paper, whose values are binned, has none

    def criterion(self, scores: Mapping[str, Any]) -> float:
        """CCC of valence + CCC of arousal, or half of it."""
        both = float(scores.get("ccc_valence", 0.0) + scores.get("ccc_arousal", 0.0))
        return both / 2 if self._of == "abaw3" else both


TASK = ValenceArousal
