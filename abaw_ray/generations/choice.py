"""What is chosen on validation: the members of a generation that teach, the best generation, and when there is an end.

Soft labels alone make probabilities better, and wear rare classes down from one generation to the next, so that neither
the likelihood nor the criterion can say alone whether a generation was worth its time. A generation is as good as the
sum of both (`joint`).
"""

from __future__ import annotations

from collections.abc import Sequence


def kept_members(criteria: Sequence[float], count: int) -> list[int]:
    """The `count` members with the best criterion, of equal ones the first, in their order."""
    ranked = sorted(range(len(criteria)), key=lambda member: -criteria[member])
    return sorted(ranked[:count])


def joint(criterion: float, nll: float) -> float:
    """How good a generation is: its ensemble's criterion less its negative log-likelihood in nats, both of all target
    tasks in sum."""
    return criterion - nll


def best_generation(joints: Sequence[float]) -> int:
    """The best one, of equal ones the first."""
    return max(range(len(joints)), key=lambda generation: joints[generation])


def is_over(joints: Sequence[float]) -> bool:
    """Whether the last generation was no better than the best before it."""
    return best_generation(joints) < len(joints) - 1
