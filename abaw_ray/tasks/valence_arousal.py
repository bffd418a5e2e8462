"""Valence and arousal, with the criterion of ABAW 2020 and 2021, or that of its later editions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import EditionOptions, TrainLabels
from abaw_ray.tasks.regression import Regression, RegressionOptions


class ValenceArousalOptions(EditionOptions, RegressionOptions):
    """Options of valence and arousal."""


class ValenceArousal(Regression):
    """A regression whose criterion is the sum of both CCCs; of the editions since 2022 it is their mean."""

    Options = ValenceArousalOptions
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
        self._edition = options.edition

    def criterion(self, scores: Mapping[str, Any]) -> float:
        """CCC of valence + CCC of arousal, or half of it."""
        total = float(scores.get("ccc_valence", 0.0) + scores.get("ccc_arousal", 0.0))
        return total / 2 if self._edition == "abaw3" else total


TASK = ValenceArousal
