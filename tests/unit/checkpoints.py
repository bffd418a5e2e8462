"""Checkpoints of small untrained networks for the stores of `stores.make_store`."""

from __future__ import annotations

from pathlib import Path

import torch
from paper import SPACES, TASKS
from stores import SIZE

from abaw_ray.config import Recipe, load_recipe
from abaw_ray.models import checkpoint
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.sets import Network
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.tasks import build_tasks


def small_recipe(*overrides: str) -> Recipe:
    fixed = ["model.backbone=test_efficientnet", "train.precision=float32", "temporal.databases=[b]"]
    return load_recipe(None, [*fixed, "temporal.window=4", *overrides])


def make_checkpoint(folder: Path, seed: int = 0, kind: checkpoint.Kind = "cnn") -> Path:
    """Writes the checkpoint of all tasks; other seeds have other weights."""
    return untrained(folder, small_recipe(), SIZE, seed, kind)


def untrained(folder: Path, recipe: Recipe, size: int, seed: int = 0, kind: checkpoint.Kind = "cnn") -> Path:
    """Writes the checkpoint of all tasks, of a recipe's network for images of `size` pixels."""
    torch.manual_seed(seed)
    outputs = {name: task.num_outputs for name, task in build_tasks(SPACES, recipe.loss, recipe.model).items()}
    network: Network = MultiTaskCNN(recipe.model, outputs, size)
    if kind == "temporal":
        network = TemporalNetwork(recipe.model, recipe.temporal, outputs, size)
    described = checkpoint.Description(
        role="teacher",
        epoch=0,
        spaces=SPACES,
        image_size=size,
        store_hash="",
        stopping={},
        scores={},
        kind=kind,
        decisions={"action_units": {"thresholds": [0.5] * TASKS["action_units"]}},
    )
    folder.mkdir(parents=True)
    checkpoint.save(folder, network, torch.optim.Adam(network.parameters()), recipe, described)
    return folder
