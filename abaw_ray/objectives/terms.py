"""Losses of a step, term by term: a term is what one head, or one objective, learns from one source set.

Most terms are functions of sums over rows. The sums of all terms travel in one reduction over the workers, so that
means divide by global counts and the CCC is the global batch's, on 1 worker as on N. Losses of pairs of rows are
functions of the rows of all workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from abaw_ray.config import LossConfig
from abaw_ray.world import World


@dataclass(frozen=True)
class AnnotatorLabels:
    """Labels of a batch in one task by several annotators.

    Args:
        values: (batch, annotators, size) label vectors, NaN where a number is not known.
        given: (batch, annotators) bool, whose labels there are.
    """

    values: Tensor
    given: Tensor


@dataclass(frozen=True)
class SetLabels:
    """Labels of one source set's batch.

    Args:
        labels: task -> label vectors (batch, size).
        labelled: task -> (batch,) bool.
        annotators: task -> the labels of all annotators, where a loss takes them.
    """

    labels: Mapping[str, Tensor]
    labelled: Mapping[str, Tensor]
    annotators: Mapping[str, AnnotatorLabels] = field(default_factory=dict)

    def map(self, f: Callable[[Tensor], Tensor]) -> SetLabels:
        """With `f` applied to every tensor."""
        return SetLabels(
            {t: f(v) for t, v in self.labels.items()},
            {t: f(v) for t, v in self.labelled.items()},
            {t: AnnotatorLabels(f(a.values), f(a.given)) for t, a in self.annotators.items()},
        )


@dataclass(frozen=True)
class Term:
    """A loss of one source set from sums over its rows.

    Args:
        source: the set.
        head: the task whose head learns, or the objective, whose weight is its own.
        sums: (k,) this worker's.
        value: the loss, a scalar, of the sums over all workers.
    """

    source: str
    head: str
    sums: Tensor
    value: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class RowsTerm:
    """A loss of one source set from all its rows, as of pairs of them.

    Args:
        source, head: as of `Term`.
        rows: (batch, k) float32 this worker's.
        value: the loss, a scalar, of the rows of all workers (n, k), worker after worker.
    """

    source: str
    head: str
    rows: Tensor
    value: Callable[[Tensor], Tensor]


AnyTerm = Term | RowsTerm


@dataclass(frozen=True)
class StepLoss:
    """`total` is what the network minimises; `terms` are the values of its parts by (source set, task or objective),
    and of what objectives minimise by themselves."""

    total: Tensor
    terms: dict[tuple[str, str], Tensor]

    def detached(self) -> StepLoss:
        """Without the graph."""
        return StepLoss(self.total.detach(), self.terms)


def combine(
    terms: Sequence[AnyTerm], world: World, config: LossConfig, weights: Mapping[str, float | Tensor]
) -> StepLoss:
    """Reduces all sums at once, evaluates the terms and adds them up: by head over its sources, then over heads.

    Args:
        terms: in the same order on every worker.
        world: whose workers' sums are added, and rows put together, keeping this worker's gradient.
        config: `reduction` over the sources that feed a head, and `set_weights` of them.
        weights: of heads, numbers or scalars; 1 where not named.
    """
    heads: dict[str, dict[str, Tensor]] = {}
    for term, value in zip(terms, _values(terms, world), strict=True):
        heads.setdefault(term.head, {})[term.source] = value
    totals = []
    for head, losses in heads.items():
        of_sets = [config.set_weights.get(source, 1.0) for source in losses]
        total = torch.stack([weight * loss for weight, loss in zip(of_sets, losses.values(), strict=True)]).sum()
        if config.reduction == "mean":
            total = total / sum(of_sets)
        totals.append(weights.get(head, 1.0) * total)
    values = {(source, head): loss.detach() for head, losses in heads.items() for source, loss in losses.items()}
    return StepLoss(torch.stack(totals).sum(), values)


def _values(terms: Sequence[AnyTerm], world: World) -> Iterable[Tensor]:
    """The value of every term, in order."""
    sums = [term.sums for term in terms if isinstance(term, Term)]
    parts = iter(world.sum(torch.cat(sums)).split([len(part) for part in sums]) if sums else ())
    for term in terms:
        yield term.value(next(parts) if isinstance(term, Term) else world.gather_rows(term.rows))
