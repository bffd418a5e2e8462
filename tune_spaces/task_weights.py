"""What each task and each training set counts, for the paper's three sets."""

from __future__ import annotations

from typing import Any

from ray import tune


def space() -> dict[str, Any]:
    """Weights of heads and of sets. Only ratios matter, so that one of each kind stays at 1."""
    return {
        # beside valence and arousal; a factor of four either way already trades one task's score for the other's
        "loss.task_weights.expression": tune.loguniform(0.25, 4.0),
        # beside the set with both labels; below a third a set is better left out with sampling.sets
        "loss.set_weights.mixed_expr": tune.loguniform(1 / 3, 3.0),
        "loss.set_weights.mixed_va": tune.loguniform(1 / 3, 3.0),
    }
