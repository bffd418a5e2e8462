"""Checkpoints: a folder with tensors, the resolved recipe and a description. Nothing in it is pickled code.

model.safetensors   weights
optimizer.pt        optimiser state (tensors only)
recipe.yaml         the resolved configuration
checkpoint.json     kind, role, epoch, scores, early stopping, tasks, label spaces, image size, the store's content hash
"""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from abaw_ray.blocks.cache import local_file
from abaw_ray.blocks.files import atomic_path, sha256_of, write_json, write_text
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe, dump_recipe, parse_recipe
from abaw_ray.disk import write_errors_named
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.labels import EXPRESSIONS, TASKS
from abaw_ray.models.cnn import MultiTaskCNN, on_device
from abaw_ray.models.sets import Network
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.storage import AnyPath, as_path
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.base import Task

Kind = Literal["cnn", "temporal"]
"""Of network."""

DESCRIPTION = "checkpoint.json"
WEIGHTS = "model.safetensors"
OPTIMIZER = "optimizer.pt"
RECIPE = "recipe.yaml"
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
    decisions: dict[str, Any]
    """Task -> what its answers need, fitted on the validation labels (`tasks.base.Decision`)."""
    kind: Kind = "cnn"
    cnn_sha256: str | None = None
    """Of a temporal network: hash of the weights of the CNN that it goes on from."""
    expressions: tuple[str, ...] = EXPRESSIONS
    label_sizes: dict[str, int] = field(default_factory=lambda: dict(TASKS))


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read back."""

    path: AnyPath
    recipe: Recipe
    description: Description

    def network(self, device: torch.device) -> Network:
        """The network with its weights, in evaluation mode."""
        outputs = {t: task.num_outputs for t, task in self.tasks(self.recipe).items()}
        config = self.recipe.model.model_copy(update={"weights": None})
        network: Network
        size = self.description.image_size
        if self.description.kind == "temporal":
            network = TemporalNetwork(config, self.recipe.temporal, outputs, size)
        else:
            network = MultiTaskCNN(config, outputs, size)
        network.load_state_dict(load_file(local_file(self.path / WEIGHTS)))
        return on_device(network, device).eval()

    def cnn(self, device: torch.device) -> MultiTaskCNN:
        """The network, which must be a CNN.

        Raises:
            ConfigurationError: it is a temporal one.
        """
        network = self.network(device)
        if not isinstance(network, MultiTaskCNN):
            raise ConfigurationError(
                f"{self.path}: a temporal network; expected a CNN, as `abaw-ray distill` trains it"
            )
        return network

    def tensors(self, tasks: Container[str]) -> dict[str, Tensor]:
        """A CNN's weights, without the heads of other tasks than `tasks`."""
        state = load_file(local_file(self.path / WEIGHTS))
        return {k: v for k, v in state.items() if not k.startswith("heads.") or k.split(".")[1] in tasks}

    def require(self, store: Store) -> None:
        """Checks that the store's images have the size it was trained with.

        Raises:
            ConfigurationError: they have not.
        """
        if self.description.image_size != store.image_size:
            raise ConfigurationError(
                f"{self.path} takes images of {self.description.image_size} pixels, {store.path} holds"
                f" {store.image_size} pixels"
            )

    def adopted_by(self, recipe: Recipe) -> Recipe:
        """`recipe` with what a temporal network takes over from this CNN: `model` and `augment`."""
        return recipe.model_copy(update={"model": self.recipe.model, "augment": self.recipe.augment})

    def tasks(self, recipe: Recipe) -> dict[str, Task]:
        """Its tasks, to predict as `recipe` says."""
        return build_tasks(self.description.tasks, recipe.loss, recipe.model)

    def weights_sha256(self) -> str:
        """Hash of the file of its weights."""
        return sha256_of(local_file(self.path / WEIGHTS))

    def copy(self, folder: AnyPath) -> None:
        """Copies it, without the optimiser, to `folder`."""
        for name in (WEIGHTS, RECIPE, DESCRIPTION):
            with atomic_path(folder / name) as temporary:
                temporary.write_bytes((self.path / name).read_bytes())


def save(folder: Path, network: nn.Module, optimizer: Optimizer, recipe: Recipe, description: Description) -> None:
    """Writes a checkpoint into an existing folder.

    Raises:
        StorageError: the disk is full, or cannot be written.
    """
    with write_errors_named(folder / WEIGHTS):
        save_file({k: v.contiguous().cpu() for k, v in network.state_dict().items()}, folder / WEIGHTS)
    # of a file that it opens itself, torch's errors do not say what the disk said
    with write_errors_named(folder / OPTIMIZER), (folder / OPTIMIZER).open("wb") as stream:
        torch.save(optimizer.state_dict(), stream)
    write_text(folder / RECIPE, dump_recipe(recipe))
    write_json(folder / DESCRIPTION, asdict(description))


def restore(folder: Path, network: nn.Module, optimizer: Optimizer, device: torch.device) -> Description:
    """Loads weights and optimiser state of a checkpoint to go on training."""
    network.load_state_dict(load_file(folder / WEIGHTS))
    optimizer.load_state_dict(torch.load(folder / OPTIMIZER, map_location=device, weights_only=True))
    return load(folder).description


def load(path: AnyPath | str) -> Checkpoint:
    """A checkpoint folder, or the best checkpoint of a run's folder.

    Raises:
        MissingInputError: neither a checkpoint nor a finished run.
        ConfigurationError: written for other label spaces than this version's.
    """
    folder = as_path(path)
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
    recipe = parse_recipe(yaml.safe_load((folder / RECIPE).read_text()), str(folder / RECIPE))
    return Checkpoint(folder, recipe, description)
