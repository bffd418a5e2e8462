"""The tasks, one file each, named as in `abaw_ray.labels.TASKS`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module

import numpy as np

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.tasks.base import Task


def build_tasks(
    names: Iterable[str],
    loss: LossConfig,
    model: ModelConfig,
    train_labels: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Task]:
    """The tasks called `names`, in that order.

    Args:
        names: of `labels.TASKS`.
        loss: settings of the losses.
        model: settings of the decoding.
        train_labels: task -> labels (n, size) of the sets that are made for it, which a loss may weigh by; not needed
            to predict.
    """
    labels = train_labels or {}
    return {n: import_module(f"{__name__}.{n}").TASK(loss, model, labels.get(n)) for n in names}
