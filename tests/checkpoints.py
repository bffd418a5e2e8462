"""Checkpoints of small untrained networks for the stores of `stores.make_store`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from paper import SPACES, TASKS
from stores import SIZE

from abaw_ray.config import Recipe, load_recipe
from abaw_ray.models import checkpoint
from abaw_ray.models.kinds import NETWORKS
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks import build_tasks


def small_recipe(*overrides: str) -> Recipe:
    fixed = ["model.backbone=test_efficientnet", "train.precision=float32", "temporal.databases=[b]"]
    return load_recipe(None, [*fixed, "temporal.window=4", *overrides])


def make_checkpoint(
    folder: Path,
    seed: int = 0,
    kind: checkpoint.Kind = "cnn",
    tasks: dict[str, dict[str, Any]] | None = None,
    recipe: Recipe | None = None,
    streams: dict[str, tuple[int, ...]] | None = None,
    size: int = SIZE,
    spaces: tuple[LabelSpace, ...] | None = None,
) -> Path:
    """Writes the checkpoint of all tasks, with options of some; other seeds have other weights."""
    spaces = spaces or SPACES  # as they are now: tests replace them
    recipe = recipe or small_recipe().model_copy(update={"tasks": tasks or {}})
    torch.manual_seed(seed)
    made = build_tasks(spaces, recipe.loss, recipe.model, options=recipe.tasks)
    outputs = {name: task.num_outputs for name, task in made.items()}
    described = checkpoint.Description(
        role="teacher",
        epoch=0,
        spaces=spaces,
        image_size=size,
        streams=streams or {},
        store_hash="",
        stopping={},
        scores={},
        kind=kind,
        decisions={"action_units": {"thresholds": [0.5] * TASKS["action_units"]}} if "action_units" in made else {},
    )
    network = NETWORKS.get(kind, "kind")(recipe, outputs, described.shapes)
    folder.mkdir(parents=True)
    checkpoint.save(folder, network, torch.optim.Adam(network.parameters()), recipe, described)
    return folder
