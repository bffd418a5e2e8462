"""When to stop: no better criterion for `patience` epochs in a row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """Follows the criterion, epoch by epoch. Ties are no improvement.

    Args:
        patience: stop after this many epochs in a row that are no improvement.
        best: best criterion so far; the first epoch always improves on the initial value.
        best_epoch: its epoch, 0-based; -1 before the first.
        num_bad: epochs since.
    """

    patience: int
    best: float = float("-inf")
    best_epoch: int = -1
    num_bad: int = 0

    def update(self, epoch: int, criterion: float) -> bool:
        """Takes an epoch's criterion; True if it is the best so far."""
        if criterion > self.best:
            self.best, self.best_epoch, self.num_bad = criterion, epoch, 0
            return True
        self.num_bad += 1
        return False

    @property
    def stop(self) -> bool:
        return self.num_bad >= self.patience
