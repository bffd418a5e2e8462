"""Expressions, with the criteria of the ABAW competition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import TrainLabels
from abaw_ray.tasks.criteria import Criterion
from abaw_ray.tasks.multiclass import Multiclass, MulticlassOptions

F1_WEIGHT = 0.67
ACCURACY_WEIGHT = 0.33


class ExpressionOptions(MulticlassOptions):
    """Which criterion selects models."""

    criterion: Criterion = "abaw2"
    """abaw2: 0.67 macro F1 + 0.33 accuracy; abaw3: macro F1."""


class Expression(Multiclass):
    """A multiclass task whose criterion is 0.67 macro F1 + 0.33 accuracy (Vu et al., section 4.2), or the macro F1."""

    Options: ClassVar[type[ExpressionOptions]] = ExpressionOptions
    columns: ClassVar[Mapping[str, str]] = {"EXPR": "criterion", "F1": "macro_f1", "accuracy": "accuracy"}

    def __init__(
        self,
        space: LabelSpace,
        loss: LossConfig,
        model: ModelConfig,
        options: ExpressionOptions,
        train_labels: TrainLabels | None = None,
    ) -> None:
        super().__init__(space, loss, model, options, train_labels)
        self._of = options.criterion

    def _criterion(self, macro_f1: float, accuracy: float) -> float:
        if self._of == "abaw3":
            return macro_f1
        return F1_WEIGHT * macro_f1 + ACCURACY_WEIGHT * accuracy


TASK = Expression
