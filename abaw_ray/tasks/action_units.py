"""Action units, with the criteria of the ABAW competition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.attributes import AttributeOptions, Attributes
from abaw_ray.tasks.base import Decision, TaskOptions, TrainLabels
from abaw_ray.tasks.criteria import Criterion


class ActionUnitsOptions(AttributeOptions):
    """Those of attributes, and which criterion selects models."""

    criterion: Criterion = "abaw2"
    """abaw2: 0.5 macro F1 + 0.5 accuracy; abaw3: macro F1, the mean over the units."""


class ActionUnits(Attributes):
    """Attributes whose criterion is 0.5 macro F1 + 0.5 accuracy (Deng et al., and ABAW2), or the macro F1."""

    Options: ClassVar[type[TaskOptions]] = ActionUnitsOptions
    columns: ClassVar[Mapping[str, str]] = {"AU": "criterion", "AU F1": "macro_f1", "AU accuracy": "accuracy"}

    def __init__(
        self,
        space: LabelSpace,
        loss: LossConfig,
        model: ModelConfig,
        options: ActionUnitsOptions,
        train_labels: TrainLabels | None = None,
    ) -> None:
        super().__init__(space, loss, model, options, train_labels)
        self._of = options.criterion

    def describe(self, vector: np.ndarray, decision: Decision) -> str:
        """Numbers of the units that are present."""
        present = super().describe(vector, decision).split()
        return " ".join(["AU", *(name.removeprefix("AU") for name in present)])

    def _criterion(self, macro_f1: float, accuracy: float) -> float:
        return macro_f1 if self._of == "abaw3" else 0.5 * macro_f1 + 0.5 * accuracy


TASK = ActionUnits
