"""Losses of a step, term by term: a term is what one head learns from one source set.

Every term is computed from sums over rows. The sums of all terms travel in one reduction over the workers, so that
means divide by global counts and the CCC is the global batch's, on 1 worker as on N.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Outputs = Mapping[str, Mapping[str, Tensor]]
"""Source set -> task -> logits (batch, outputs)."""


@dataclass(frozen=True)
class SetLabels:
    """Labels of one source set's batch: task -> label vectors (batch, size), and task -> labelled (batch,) bool."""

    labels: Mapping[str, Tensor]
    labelled: Mapping[str, Tensor]

    def map(self, f: Callable[[Tensor], Tensor]) -> SetLabels:
        """With `f` applied to every tensor."""
        return SetLabels({t: f(v) for t, v in self.labels.items()}, {t: f(v) for t, v in self.labelled.items()})


@dataclass(frozen=True)
class Term:
    """What `task`'s head learns from `source`: this worker's sums, and the loss as a function of the global sums."""

    source: str
    task: str
    sums: Tensor
    value: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class StepLoss:
    """`total` is what is minimised; `terms` are the values of its parts by (source set, task)."""

    total: Tensor
    terms: dict[tuple[str, str], Tensor]


def combine(
    terms: list[Term],
    sum_over_workers: Callable[[Tensor], Tensor],
    reduction: str,
    task_weights: Mapping[str, float],
) -> StepLoss:
    """Reduces all sums at once, evaluates the terms and adds them up: by head over its sources, then over heads.

    Args:
        terms: in the same order on every worker.
        sum_over_workers: adds a tensor over the workers and keeps this worker's gradient.
        reduction: `mean` or `sum` over the sources that feed a head.
        task_weights: weight of a head; 1 where not named.
    """
    parts = sum_over_workers(torch.cat([t.sums for t in terms])).split([len(t.sums) for t in terms])
    values = {(t.source, t.task): t.value(part) for t, part in zip(terms, parts, strict=True)}
    heads: dict[str, list[Tensor]] = {}
    for (_, task), value in values.items():
        heads.setdefault(task, []).append(value)
    totals = []
    for task, losses in heads.items():
        head = torch.stack(losses)
        totals.append(task_weights.get(task, 1.0) * (head.mean() if reduction == "mean" else head.sum()))
    return StepLoss(torch.stack(totals).sum(), {k: v.detach() for k, v in values.items()})
