"""A run whose loss or gradient is no number any more: what is said, and what is kept to look at."""

from __future__ import annotations

import json
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from abaw_ray.blocks.files import write_text
from abaw_ray.config import Recipe
from abaw_ray.errors import DivergedError
from abaw_ray.storage import AnyPath, local_folder
from abaw_ray.training.stage import Batch
from abaw_ray.training.step import DivergedStep
from abaw_ray.world import World

FOLDER, BATCH, STEP = "diverged", "batch.safetensors", "step.json"


def diverged(
    found: DivergedStep, epoch: int, step: int, batch: Batch, recipe: Recipe, run: AnyPath, world: World
) -> DivergedError:
    """The error that ends a run. Its first worker's part of the batch is saved in `diverged/` in the run's folder.

    Args:
        found: the numbers that are none.
        epoch: 0-based.
        step: 0-based, in the epoch.
        batch: this worker's part of the step.
        recipe: the run's.
        run: its folder.
        world: this worker.
    """
    rate = recipe.train.learning_rate
    if world.rank == 0:
        values = {name: str(value) for name, value in found.values.items()}
        described = {"epoch": epoch, "step": step, "learning_rate": rate, "not_numbers": values}
        with local_folder(run / FOLDER) as folder:
            save_file(_tensors(batch), folder / BATCH)
            write_text(folder / STEP, json.dumps(described, indent=2) + "\n")
    named = ", ".join(f"{name} {value}" for name, value in found.values.items())
    return DivergedError(
        f"training diverged in epoch {epoch + 1}, step {step + 1}: {named} (task/set), learning rate {rate:g}; the"
        f" weights are those before the step, the batch is in {run / FOLDER}. A lower train.learning_rate or"
        " train.clip_norm may help; the last checkpoint is kept"
    )


def _tensors(batch: Batch) -> dict[str, Tensor]:
    """Every tensor of a batch by its path, as `mixed_va/labels/labels/expression`."""
    found: dict[str, Tensor] = {}

    def visit(value: Any, path: str) -> None:
        if isinstance(value, Tensor):
            found[path] = value.detach().cpu().contiguous()
        elif hasattr(value, "items"):
            for name, part in value.items():
                visit(part, f"{path}/{name}")
        elif hasattr(value, "__dataclass_fields__"):
            for name in value.__dataclass_fields__:
                visit(getattr(value, name), f"{path}/{name}")

    for name, part in batch.items():
        visit(part, name)
    return found
