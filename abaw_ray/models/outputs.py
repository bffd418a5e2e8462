"""What networks give for the source sets of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

Outputs = Mapping[str, Mapping[str, Tensor]]
"""Source set -> task -> (batch, width)."""


class HeadsOutput(NamedTuple):
    """What a network gives for one source set.

    Args:
        logits: task -> (batch, outputs).
        features: task -> (batch, width) that its classifier takes.
        shared: (batch, width) that all heads take; None: they do not share it.
    """

    logits: Mapping[str, Tensor]
    features: Mapping[str, Tensor]
    shared: Tensor | None = None


@dataclass(frozen=True)
class SetsOutput:
    """What a network gives for the source sets of a step.

    Args:
        logits: (batch, outputs) of each task.
        features: (batch, width) that each task's classifier takes; empty where they are not known.
        shared: source set -> (batch, width) that all heads take; empty where they do not share it.
    """

    logits: Outputs
    features: Outputs
    shared: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of_sets(cls, parts: Mapping[str, HeadsOutput]) -> SetsOutput:
        """From source set -> what its heads give."""
        return cls(
            {name: part.logits for name, part in parts.items()},
            {name: part.features for name, part in parts.items()},
            {name: part.shared for name, part in parts.items() if part.shared is not None},
        )

    def map(self, f: Callable[[Tensor], Tensor]) -> SetsOutput:
        """With `f` applied to every tensor."""

        def mapped(outputs: Outputs) -> Outputs:
            return {name: {task: f(values) for task, values in heads.items()} for name, heads in outputs.items()}

        shared = {name: f(values) for name, values in self.shared.items()}
        return SetsOutput(mapped(self.logits), mapped(self.features), shared)


def split_outputs(joint: HeadsOutput, names: Iterable[str], sizes: Sequence[int]) -> SetsOutput:
    """Outputs of all sets together -> outputs by set; arguments as of `split_by_set`."""
    shared = {"": joint.shared} if joint.shared is not None else {}
    return SetsOutput(
        split_by_set(joint.logits, names, sizes),
        split_by_set(joint.features, names, sizes),
        {name: part[""] for name, part in split_by_set(shared, names, sizes).items() if part},
    )


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
