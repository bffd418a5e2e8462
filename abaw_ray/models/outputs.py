"""What networks give for the source sets of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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

    @classmethod
    def of_sets(cls, parts: Mapping[str, tuple[Mapping[str, Tensor], Mapping[str, Tensor]]]) -> SetsOutput:
        """From source set -> logits and features by task."""
        return cls({name: logits for name, (logits, _) in parts.items()}, {name: f for name, (_, f) in parts.items()})

    def map(self, f: Callable[[Tensor], Tensor]) -> SetsOutput:
        """With `f` applied to every tensor."""

        def mapped(outputs: Outputs) -> Outputs:
            return {name: {task: f(values) for task, values in heads.items()} for name, heads in outputs.items()}

        return SetsOutput(mapped(self.logits), mapped(self.features))


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
