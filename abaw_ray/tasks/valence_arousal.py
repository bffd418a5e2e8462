"""Valence and arousal, with the criterion of ABAW 2020 and 2021."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from abaw_ray.tasks.regression import Regression


class ValenceArousal(Regression):
    """A regression whose criterion is the sum of both CCCs."""

    columns: ClassVar[Mapping[str, str]] = {
        "CCC V": "ccc_valence",
        "CCC A": "ccc_arousal",
        "RMSE V": "rmse_valence",
        "RMSE A": "rmse_arousal",
    }

    def criterion(self, scores: Mapping[str, Any]) -> float:
        """CCC of valence + CCC of arousal."""
        return float(scores.get("ccc_valence", 0.0) + scores.get("ccc_arousal", 0.0))


TASK = ValenceArousal
