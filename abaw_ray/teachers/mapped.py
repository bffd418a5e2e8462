"""A teacher that answers in spaces of its student which it does not have: regressions made from its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from abaw_ray.errors import ConfigurationError
from abaw_ray.models.outputs import Outputs, SetsOutput
from abaw_ray.models.sets import Network
from abaw_ray.spaces import joined_dimensions
from abaw_ray.tasks.base import Task
from abaw_ray.tasks.regression import Regression


@dataclass(frozen=True)
class TaskMap:
    """How a student's regression is made from a teacher's: the ranges are mapped onto each other.

    Args:
        source: the teacher's.
        target: the student's.
        places: of the target's dimensions among the source's.
    """

    source: Task
    target: Task
    places: Sequence[int]

    def logits(self, logits: Tensor) -> Tensor:
        """Logits (batch, outputs) of the target from those of the source.

        They have the source's distributions, whose bins are parts of the range; numbers of a plain regression stay
        numbers where the target is plain, too.
        """
        source, target, places = self.source, self.target, list(self.places)
        plain = all(isinstance(task, Regression) and task.is_plain for task in (source, target))
        if not plain:
            return target.logits_of(source.distributions(logits, 1.0).log_p[:, places])
        scale = (target.space.high - target.space.low) / (source.space.high - source.space.low)
        return target.space.low + (logits[:, places] - source.space.low) * scale


def task_maps(
    source_tasks: Mapping[str, Task], tasks: Mapping[str, Task], names: Mapping[str, str], what: str
) -> dict[str, TaskMap]:
    """What a teacher says of its student's tasks that it does not have.

    Args:
        source_tasks: the teacher's.
        tasks: the student's.
        names: task of the student -> task of the teacher, as `loss.teacher_maps`.
        what: the teacher, for errors.

    Raises:
        ConfigurationError: the teacher has not what it is to be made from.
    """
    maps = {}
    for name, source in names.items():
        key = f"loss.teacher_maps.{name}"
        if name not in tasks:
            raise ConfigurationError(f"{key}: not among the tasks: {', '.join(tasks)}")
        if name in source_tasks:
            continue
        if source not in source_tasks:
            raise ConfigurationError(f"{key}: {what} has no task {source}, but {', '.join(source_tasks)}")
        own, target = source_tasks[source], tasks[name]
        maps[name] = TaskMap(own, target, joined_dimensions(own.space, target.space, key))
    return maps


class MappedNetwork(Network):
    """A teacher's network with what follows from what it says.

    Args:
        network: as it was trained.
        maps: task of the student -> how it is made.
    """

    def __init__(self, network: Network, maps: Mapping[str, TaskMap]) -> None:
        super().__init__()
        self._network, self._maps = network, maps

    @property
    def feature_widths(self) -> dict[str, int]:
        """Those of its own tasks, and of what a task is made from for that task."""
        own = self._network.feature_widths
        return own | {name: own[m.source.space.name] for name, m in self._maps.items() if m.source.space.name in own}

    def forward_sets(self, inputs: Mapping[str, Any]) -> SetsOutput:
        found = self._network.forward_sets(inputs)
        logits = {
            of_set: {**heads, **{name: m.logits(heads[m.source.space.name]) for name, m in self._maps.items()}}
            for of_set, heads in found.logits.items()
        }
        return SetsOutput(logits, self._with_sources(found.features))

    def _with_sources(self, features: Outputs) -> Outputs:
        sources = {name: m.source.space.name for name, m in self._maps.items()}
        return {
            of_set: {**heads, **{name: heads[source] for name, source in sources.items() if source in heads}}
            for of_set, heads in features.items()
        }
