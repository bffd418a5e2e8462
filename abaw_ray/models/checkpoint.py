"""Checkpoints: a folder with tensors, the resolved recipe and a description. Nothing in it is pickled code.

model.safetensors   weights
optimizer.pt        optimiser state (tensors only)
recipe.yaml         the resolved configuration
checkpoint.json     role, epoch, scores, early stopping, tasks, label spaces, image size, the store's content hash
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim import Optimizer

from abaw_ray.config import Recipe, dump_recipe, parse_recipe
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.labels import EXPRESSIONS, TASKS
from abaw_ray.models.cnn import MultiTaskCNN, on_device
from abaw_ray.tasks import build_tasks

DESCRIPTION = "checkpoint.json"
RUN_FILE = "run.json"
"""Written into the run's folder when training has ended; names the best and the last checkpoint."""


@dataclass(frozen=True)
class Description:
    """What a checkpoint is."""

    role: str
    """`teacher` (equation 7) or `student` (equations 8-10)."""
    epoch: int
    """0-based epoch that it was written after."""
    tasks: tuple[str, ...]
    image_size: int
    store_hash: str
    """Content hash of the store it was trained on."""
    stopping: dict[str, Any]
    scores: dict[str, Any]
    expressions: tuple[str, ...] = EXPRESSIONS
    label_sizes: dict[str, int] = field(default_factory=lambda: dict(TASKS))


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read back."""

    path: Path
    recipe: Recipe
    description: Description

    def network(self, device: torch.device) -> MultiTaskCNN:
        """The network with its weights, in evaluation mode."""
        tasks = build_tasks(self.description.tasks, self.recipe.loss, self.recipe.model)
        config = self.recipe.model.model_copy(update={"weights": None})
        network = MultiTaskCNN(config, {t: task.num_outputs for t, task in tasks.items()})
        network.load_state_dict(load_file(self.path / "model.safetensors"))
        return on_device(network, device).eval()


def save(folder: Path, network: nn.Module, optimizer: Optimizer, recipe: Recipe, description: Description) -> None:
    """Writes a checkpoint into an existing folder."""
    save_file({k: v.contiguous().cpu() for k, v in network.state_dict().items()}, folder / "model.safetensors")
    torch.save(optimizer.state_dict(), folder / "optimizer.pt")
    (folder / "recipe.yaml").write_text(dump_recipe(recipe))
    (folder / DESCRIPTION).write_text(json.dumps(asdict(description), indent=2))


def restore(folder: Path, network: nn.Module, optimizer: Optimizer, device: torch.device) -> Description:
    """Loads weights and optimiser state of a checkpoint to go on training."""
    network.load_state_dict(load_file(folder / "model.safetensors"))
    optimizer.load_state_dict(torch.load(folder / "optimizer.pt", map_location=device, weights_only=True))
    return load(folder).description


def load(path: Path | str) -> Checkpoint:
    """A checkpoint folder, or the best checkpoint of a run's folder.

    Raises:
        MissingInputError: neither a checkpoint nor a finished run.
        ConfigurationError: written for other label spaces than this version's.
    """
    folder = Path(path)
    if (folder / RUN_FILE).is_file():
        folder = folder / json.loads((folder / RUN_FILE).read_text())["best"]
    if not (folder / DESCRIPTION).is_file():
        raise MissingInputError(f"{folder}: neither a finished run ({RUN_FILE}) nor a checkpoint ({DESCRIPTION})")
    values = json.loads((folder / DESCRIPTION).read_text())
    description = Description(
        **{**values, "tasks": tuple(values["tasks"]), "expressions": tuple(values["expressions"])}
    )
    unknown = [t for t in description.tasks if TASKS.get(t) != description.label_sizes.get(t)]
    if unknown or description.expressions != EXPRESSIONS:
        raise ConfigurationError(
            f"{folder}: label spaces {description.label_sizes}, classes {description.expressions};"
            f" expected {TASKS}, {EXPRESSIONS}"
        )
    recipe = parse_recipe(yaml.safe_load((folder / "recipe.yaml").read_text()), str(folder / "recipe.yaml"))
    return Checkpoint(folder, recipe, description)
