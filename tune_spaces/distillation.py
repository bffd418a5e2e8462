"""How the student listens to its teacher."""

from __future__ import annotations

from typing import Any

from ray import tune


def space() -> dict[str, Any]:
    """Temperature and hard weight (lambda of equation 8)."""
    return {
        # 1 is the teacher's own odds; at 8 the seven classes of a sure teacher are within a factor of two or so
        "loss.temperature": tune.loguniform(1.0, 8.0),
        # from the teacher alone to, almost, the labels alone; at 1 unlabelled images would still be distilled
        "loss.hard_weight": tune.uniform(0.0, 1.0),
    }
