"""What a task is: its outputs, its two losses and how its outputs become predictions.

A loss is given in two halves so that it means the same on 1 and N workers. `statistics` are sums over this worker's
rows; the training loop adds them over all workers; `supervised` turns the sums into the loss of the global batch.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Task(Protocol):
    """One task of the network."""

    name: str
    num_outputs: int
    """Length of the head's output."""

    def statistics(self, logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Sums over the labelled rows from which `supervised` computes the loss.

        Args:
            logits: (batch, num_outputs).
            target: (batch, label size); ignored where not labelled.
            labelled: (batch,) bool.

        Returns:
            (sums,) float64. It stays in the graph even when no row is labelled.
        """
        ...

    def supervised(self, statistics: Tensor) -> Tensor:
        """The loss of the global batch, a scalar: 0 when no row is labelled. Never NaN."""
        ...

    def soft_losses(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """Kullback-Leibler divergence of the student from the teacher, row by row: (batch,)."""
        ...

    def decode(self, logits: Tensor) -> Tensor:
        """Predictions of the label's shape, (batch, label size)."""
        ...
