"""The tasks, made from label spaces: a module of a space's name is for that space, others are for those of a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.plugins import Registry
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import Task

TASKS: Registry[Callable[..., Task]] = Registry(__name__, "TASK", "task")


def build_tasks(
    spaces: Iterable[LabelSpace],
    loss: LossConfig,
    model: ModelConfig,
    train_labels: Callable[[str], np.ndarray] | None = None,
) -> dict[str, Task]:
    """The tasks of label spaces by name, in their order.

    Args:
        spaces: of their labels.
        loss: settings of the losses.
        model: settings of the decoding.
        train_labels: gives a task's labels (n, size) in the sets that are made for it; a loss may weigh by them. Not
            needed to predict.
    """
    return {
        space.name: _task_of(space)(space, loss, model, train_labels and partial(train_labels, space.name))
        for space in spaces
    }


def _task_of(space: LabelSpace) -> Callable[..., Task]:
    """The task for a space: its own, or that of its kind."""
    return TASKS.find(space.name) or TASKS.get(space.kind, f"kind of label space {space.name}")
