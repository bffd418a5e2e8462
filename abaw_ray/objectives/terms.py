"""Losses of a step, term by term: a term is what one head learns from one source set.

Every term is computed from sums over rows. The sums of all terms travel in one reduction over the workers, so that
means divide by global counts and the CCC is the global batch's, on 1 worker as on N.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from abaw_ray.config import LossConfig

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
    config: LossConfig,
) -> StepLoss:
    """Reduces all sums at once, evaluates the terms and adds them up: by head over its sources, then over heads.

    Args:
        terms: in the same order on every worker.
        sum_over_workers: adds a tensor over the workers and keeps this worker's gradient.
        config: `reduction` over the sources that feed a head, `set_weights` of them, and `task_weights` of heads.
    """
    parts = sum_over_workers(torch.cat([t.sums for t in terms])).split([len(t.sums) for t in terms])
    values = {(t.source, t.task): t.value(part) for t, part in zip(terms, parts, strict=True)}
    heads: dict[str, dict[str, Tensor]] = {}
    for (source, task), value in values.items():
        heads.setdefault(task, {})[source] = value
    totals = []
    for task, losses in heads.items():
        weights = [config.set_weights.get(source, 1.0) for source in losses]
        head = torch.stack([weight * loss for weight, loss in zip(weights, losses.values(), strict=True)]).sum()
        if config.reduction == "mean":
            head = head / sum(weights)
        totals.append(config.task_weights.get(task, 1.0) * head)
    return StepLoss(torch.stack(totals).sum(), {k: v.detach() for k, v in values.items()})
