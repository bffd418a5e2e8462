"""The tasks, made from label spaces: a module of a space's name is for that space, others are for those of a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np

from abaw_ray.config import LossConfig, ModelConfig, parse_options
from abaw_ray.errors import ConfigurationError
from abaw_ray.plugins import Registry
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import Task, TaskOptions, TrainLabels


class TaskKind(Protocol):
    """What makes the task of a label space: a class, whose options are those of `Options`."""

    Options: type[TaskOptions]

    def __call__(
        self,
        space: LabelSpace,
        loss: LossConfig,
        model: ModelConfig,
        options: Any,
        train_labels: TrainLabels | None = None,
    ) -> Task: ...


TASKS: Registry[TaskKind] = Registry(__name__, "TASK", "task")


def build_tasks(
    spaces: Iterable[LabelSpace],
    loss: LossConfig,
    model: ModelConfig,
    train_labels: Callable[[str], np.ndarray] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Task]:
    """The tasks of label spaces by name, in their order.

    Args:
        spaces: of their labels.
        loss: settings of the losses.
        model: settings of the decoding.
        train_labels: gives a task's labels (n, size) in the sets that are made for it; a loss may weigh by them. Not
            needed to predict.
        options: `tasks` of the recipe: name of a space -> options of its task. Those with `nuisance` are no tasks of a
            network.

    Raises:
        ConfigurationError: options of a task there is none of, an option that the task does not have, or no task that
            is a target.
    """
    of_spaces = {space.name: space for space in spaces}
    nuisances = nuisance_settings(options or {})
    options = {name: values for name, values in (options or {}).items() if name not in nuisances}
    unknown = sorted(options.keys() - of_spaces.keys())
    if unknown:
        raise ConfigurationError(f"tasks: {', '.join(unknown)} not among the tasks: {', '.join(of_spaces)}")
    tasks = {
        name: build_task(space, loss, model, train_labels and partial(train_labels, name), options.get(name, {}))
        for name, space in of_spaces.items()
    }
    if tasks and all(task.role == "nuisance" for task in tasks.values()):
        raise ConfigurationError(f"tasks: all are nuisance ({', '.join(tasks)}); expected a target to select models by")
    return tasks


def build_task(
    space: LabelSpace,
    loss: LossConfig,
    model: ModelConfig,
    train_labels: TrainLabels | None = None,
    options: Mapping[str, Any] | None = None,
) -> Task:
    """The task of a label space; arguments as of `build_tasks`, for one space.

    Raises:
        ConfigurationError: an option that the task does not have.
    """
    kind = _task_of(space)
    checked = parse_options(kind.Options, options or {}, f"tasks.{space.name}")
    return kind(space, loss, model, checked, train_labels)


def nuisance_settings(options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Task -> its `nuisance`, of those of the recipe's `tasks` that have one: they are no tasks of the network."""
    found = {name: values.get("nuisance") for name, values in options.items()}
    return {name: setting for name, setting in found.items() if setting is not None}


def targets(tasks: Mapping[str, Task]) -> list[str]:
    """Names of the tasks that are no nuisance: those that teachers teach."""
    return [name for name, task in tasks.items() if task.role == "target"]


def _task_of(space: LabelSpace) -> TaskKind:
    """The task for a space: its own, or that of its kind."""
    return TASKS.find(space.name) or TASKS.get(space.kind, f"kind of label space {space.name}")
