"""The tasks, one file each, named as in `abaw_ray.labels.TASKS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module

import numpy as np

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.tasks.base import Task


def build_tasks(
    names: Iterable[str],
    loss: LossConfig,
    model: ModelConfig,
    train_labels: Callable[[str], np.ndarray] | None = None,
) -> dict[str, Task]:
    """The tasks called `names`, in that order.

    Args:
        names: of `labels.TASKS`.
        loss: settings of the losses.
        model: settings of the decoding.
        train_labels: gives a task's labels (n, size) in the sets that are made for it; a loss may weigh by them. Not
            needed to predict.
    """
    return {
        name: import_module(f"{__name__}.{name}").TASK(loss, model, train_labels and partial(train_labels, name))
        for name in names
    }
