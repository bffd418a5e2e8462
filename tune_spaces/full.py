"""Everything at once: for many trials."""

from __future__ import annotations

from typing import Any

from tune_spaces import distillation, optimisation, task_weights


def space() -> dict[str, Any]:
    """The other three spaces together."""
    return {**distillation.space(), **task_weights.space(), **optimisation.space()}
