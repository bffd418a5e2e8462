"""Early stopping against the reference's behaviour."""

from __future__ import annotations

import pytest

from abaw_ray.training.early_stopping import EarlyStopping


def stops_after(criteria: list[float], patience: int = 6) -> tuple[int, int]:
    """1-based last epoch and best epoch."""
    stopping = EarlyStopping(patience)
    for epoch, criterion in enumerate(criteria):
        stopping.update(epoch, criterion)
        if stopping.stop:
            break
    return epoch + 1, stopping.best_epoch + 1


@pytest.mark.parametrize(("best", "last"), [(1, 7), (3, 9)])
def test_stops_right_after_the_sixth_epoch_without_improvement(best, last):
    criteria = [0.1 * e for e in range(1, best + 1)] + [0.05] * 20
    assert stops_after(criteria) == (last, best)


def test_ties_are_no_improvement():
    assert stops_after([0.5] * 20) == (7, 1)


def test_criteria_below_zero_improve_too():
    assert stops_after([-0.3, -0.2, -0.1]) == (3, 3)
