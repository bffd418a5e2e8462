"""Expressions, with the criterion of ABAW 2020 and 2021."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from abaw_ray.tasks.multiclass import Multiclass

F1_WEIGHT = 0.67
ACCURACY_WEIGHT = 0.33


class Expression(Multiclass):
    """A multiclass task whose criterion is 0.67 macro F1 + 0.33 accuracy (Vu et al., section 4.2)."""

    columns: ClassVar[Mapping[str, str]] = {"EXPR": "criterion", "F1": "macro_f1", "accuracy": "accuracy"}

    def _criterion(self, macro_f1: float, accuracy: float) -> float:
        return F1_WEIGHT * macro_f1 + ACCURACY_WEIGHT * accuracy


TASK = Expression
