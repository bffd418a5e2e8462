"""CNNs with random weights, for benchmarks to which only their size matters."""

from __future__ import annotations

from pathlib import Path

import torch

from abaw_ray.config import Recipe
from abaw_ray.models import checkpoint
from abaw_ray.training.job import Job
from abaw_ray.training.stage import Stage


def make_cnn(folder: Path, recipe: Recipe, store: Path, seed: int, role: str = "teacher") -> Path:
    """A checkpoint of a CNN that was never trained, for the tasks of a store."""
    stage = Stage(Job(recipe, str(store), ""), torch.device("cpu"))
    torch.manual_seed(seed)
    network = stage.network()
    described = checkpoint.Description(
        role=role,
        epoch=0,
        spaces=tuple(task.space for task in stage.data.tasks.values()),
        image_size=stage.store.image_size,
        store_hash=stage.store.manifest.content_hash,
        stopping={},
        scores={},
        decisions={},
    )
    folder.mkdir()
    checkpoint.save(folder, network, torch.optim.Adam(network.parameters()), recipe, described)
    return folder
