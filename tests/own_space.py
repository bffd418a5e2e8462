"""A search space from outside the package."""

from __future__ import annotations

from typing import Any

from ray import tune


def space() -> dict[str, Any]:
    return {"loss.kd.scaled.weight": tune.uniform(0.5, 1.0), "tasks.depth.margin": tune.choice([0.5, 1.0])}
