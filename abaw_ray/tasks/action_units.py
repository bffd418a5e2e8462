"""Action units, with the criterion of ABAW 2020 and 2021."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from abaw_ray.tasks.base import Decision
from abaw_ray.tasks.multilabel import Multilabel


class ActionUnits(Multilabel):
    """A multilabel task whose criterion is 0.5 macro F1 + 0.5 accuracy (Deng et al., and ABAW2)."""

    columns: ClassVar[Mapping[str, str]] = {"AU": "criterion", "AU F1": "macro_f1", "AU accuracy": "accuracy"}

    def describe(self, vector: np.ndarray, decision: Decision) -> str:
        """Numbers of the units that are present."""
        present = super().describe(vector, decision).split()
        return " ".join(["AU", *(name.removeprefix("AU") for name in present)])

    def _criterion(self, macro_f1: float, accuracy: float) -> float:
        return 0.5 * macro_f1 + 0.5 * accuracy


TASK = ActionUnits
