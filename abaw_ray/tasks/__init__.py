"""The tasks, one file each, named as in `abaw_ray.labels.TASKS`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.tasks.base import Task


def build_tasks(names: Iterable[str], loss: LossConfig, model: ModelConfig) -> dict[str, Task]:
    """The tasks called `names`, in that order."""
    return {name: import_module(f"{__name__}.{name}").TASK(loss, model) for name in names}
