"""What networks give for the source sets of a step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

Outputs = Mapping[str, Mapping[str, Tensor]]
"""Source set -> task -> (batch, width)."""


@dataclass(frozen=True)
class SetsOutput:
    """What a network gives for the source sets of a step.

    Args:
        logits: (batch, outputs) of each task.
        features: (batch, width) that each task's classifier takes; empty where they are not known.
    """

    logits: Outputs
    features: Outputs


def split_by_set(
    outputs: Mapping[str, Tensor], names: Iterable[str], sizes: Sequence[int]
) -> dict[str, dict[str, Tensor]]:
    """Outputs of all sets together -> outputs by set.

    Args:
        outputs: task -> (rows, width): a row for each sample of all sets, or as many for each.
        names: of the sets, in the order of the rows.
        sizes: samples of each set.
    """
    parts = {t: values.split([size * (len(values) // sum(sizes)) for size in sizes]) for t, values in outputs.items()}
    return {name: {task: of_sets[i] for task, of_sets in parts.items()} for i, name in enumerate(names)}
