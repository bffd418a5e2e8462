"""Checkpoints: a folder with tensors, the resolved recipe and a description. Nothing in it is pickled code.

model.safetensors   weights
optimizer.pt        optimiser state (tensors only)
losses.pt           what losses with parameters have learned (tensors only); where there are some
training.pt         what else training goes on from (tensors and numbers only); where there is something
recipe.yaml         the resolved configuration
checkpoint.json     kind, role, epoch, scores, early stopping, label spaces, image size, content hash of the
                    store, hashes of the other files and of itself
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from abaw_ray.below import InFolder, is_name
from abaw_ray.blocks.files import (
    atomic_path,
    json_sha256,
    read_json,
    require_hash,
    sha256_of,
    write_json,
    write_text,
)
from abaw_ray.blocks.integrity import Expected, whole_file
from abaw_ray.blocks.manifest import most_frequent
from abaw_ray.blocks.reader import Store
from abaw_ray.config import AugmentConfig, Recipe, dump_recipe, parse_recipe_text
from abaw_ray.disk import write_errors_named
from abaw_ray.errors import (
    LONGEST_MESSAGE,
    ConfigurationError,
    MissingInputError,
    StoreError,
    quoted,
    shortened,
    wrong_values,
)
from abaw_ray.models.cnn import MultiTaskCNN, on_device
from abaw_ray.models.encoders.base import Shape
from abaw_ray.models.kinds import NETWORKS, frame_shapes
from abaw_ray.models.sets import FrameNetwork, Network
from abaw_ray.models.tensor_files import DAMAGED, weights_in
from abaw_ray.spaces import LabelSpace
from abaw_ray.storage import AnyPath, as_path
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.base import Task
from abaw_ray.view_sizes import view_size

Kind = str
"""Kind of network: a name in `kinds.NETWORKS`."""

Weights = Literal["trained", "averaged"]
"""Weights as the optimiser left them, or their moving average."""

DESCRIPTION = "checkpoint.json"
WEIGHTS = "model.safetensors"
OPTIMIZER = "optimizer.pt"
LOSSES = "losses.pt"
TRAINING = "training.pt"
RECIPE = "recipe.yaml"
RESUMED = (OPTIMIZER, LOSSES, TRAINING)
"""Files that only training goes on from."""
RUN_FILE = "run.json"
"""Written into the run's folder when training has ended; names the best and the last checkpoint."""


class DatabaseUse(BaseModel):
    """A database of the store that a network was trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    crop: str
    """Name of the crop that made its faces (`preprocess.crops.CROPS`)."""
    num_images: int
    labels: dict[str, dict[str, int]]
    """Task -> split -> images with a label, or videos where labels are of clips."""


class Description(BaseModel):
    """What a checkpoint is."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[4] = 4
    role: str
    """`teacher` (equation 7) or `student` (equations 8-10)."""
    epoch: int
    """0-based epoch that it was written after."""
    spaces: tuple[LabelSpace, ...]
    """Label spaces of its tasks, in their order."""
    image_size: int
    streams: dict[str, tuple[int, ...]] = {}
    """Streams that its network takes beside faces of `image_size` -> shape of one sample."""
    crops: dict[str, str] = {}
    """Those of them that are images -> crop of most of their samples (`preprocess.crops.IMAGE_CROPS`); empty: there are
    none, or the checkpoint was written before this was noted."""
    store_hash: str
    """Content hash of the store it was trained on."""
    stopping: dict[str, Any]
    scores: dict[str, Any]
    decisions: dict[str, Any]
    """Task -> what its answers need, fitted on the validation labels (`tasks.base.Decision`)."""
    databases: dict[str, DatabaseUse] = {}
    """Database -> what the store held of it; empty: the checkpoint was written before this was noted."""
    kind: Kind = "cnn"
    cnn_sha256: str | tuple[str, ...] | None = None
    """Hash of the weights of the CNN that a temporal network goes on from, or of several in the order of their
    features; None: another kind of network."""
    weights: Weights = "trained"
    """The better ones of its epoch, which it holds."""
    files: dict[InFolder, str] = {}
    """Name -> hash of the files beside it."""
    content_hash: str = ""
    """Hash of everything above."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of its tasks."""
        return tuple(space.name for space in self.spaces)

    @property
    def shapes(self) -> dict[str, Shape]:
        """Stream -> shape of one sample."""
        return frame_shapes(self.image_size) | self.streams

    def files_in(self, folder: AnyPath) -> list[Expected]:
        """The files beside it in a folder."""
        return [Expected(folder / name, sha256) for name, sha256 in self.files.items()]

    @property
    def crop(self) -> str | None:
        """The crop of most of the faces that it was trained on; None: not noted."""
        used = [(of_database.crop, of_database.num_images) for of_database in self.databases.values()]
        return most_frequent(used) if used else None

    def hash(self) -> str:
        """The content hash."""
        unnoted = {name for name in ("databases", "crops") if not getattr(self, name)}
        if self.weights == "trained":
            unnoted.add("weights")  # as of checkpoints from before there was another kind
        return json_sha256(self.model_dump(exclude={"content_hash", *unnoted}))

    def save(self, folder: AnyPath, files: Mapping[str, str]) -> None:
        """Writes it into a folder with files of these hashes."""
        described = self.model_copy(update={"files": dict(files)})
        write_json(folder / DESCRIPTION, described.model_dump() | {"content_hash": described.hash()})


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read back."""

    path: AnyPath
    recipe: Recipe
    description: Description

    def network(self, device: torch.device) -> Network:
        """The network with its weights, in evaluation mode.

        Raises:
            ConfigurationError: there is no such kind of network, or part of one: a plugin is missing.
            StoreError: the file of its weights is damaged.
        """
        outputs = {t: task.num_outputs for t, task in self.tasks(self.recipe).items()}
        build = NETWORKS.get(self.description.kind, f"{self.path / DESCRIPTION}: kind")
        recipe = self.recipe.model_copy(update={"model": self.recipe.model.without_weights()})
        network = build(recipe, outputs, self.description.shapes)
        try:
            network.load_state_dict(self._weights())
        except RuntimeError as error:  # names or shapes of another network
            raise StoreError(f"{self.path / WEIGHTS}: {shortened(str(error), LONGEST_MESSAGE)}; {DAMAGED}") from None
        return on_device(network, device).eval()

    def frame_network(self, device: torch.device) -> FrameNetwork:
        """The network, which must be one of frames.

        Raises:
            ConfigurationError: it is of another kind.
        """
        network = self.network(device)
        if not isinstance(network, FrameNetwork):
            raise ConfigurationError(f"{self.path}: a {self.description.kind} network; expected one of frames")
        return network

    def cnn(self, device: torch.device) -> MultiTaskCNN:
        """The network, which must be a CNN.

        Raises:
            ConfigurationError: it is of another kind.
        """
        network = self.network(device)
        if not isinstance(network, MultiTaskCNN):
            raise ConfigurationError(
                f"{self.path}: a {self.description.kind} network; expected a CNN, as `abaw-ray distill` trains it"
            )
        return network

    def tensors(self, tasks: Container[str]) -> dict[str, Tensor]:
        """A CNN's weights, without the heads of other tasks than `tasks`."""
        state = self._weights()
        return {k: v for k, v in state.items() if not k.startswith("heads.") or k.split(".")[1] in tasks}

    def require(self, store: Store) -> None:
        """Checks that the store's samples have the shapes, and its labels the meaning, that it was trained with.

        Raises:
            ConfigurationError: they have not.
        """
        for space in self.description.spaces:
            theirs = store.spaces.get(space.name, space)
            if theirs != space:
                raise ConfigurationError(
                    f"{self.path}: {space.name} is {space.kind} {', '.join(space.names)};"
                    f" {store.path} has {theirs.kind} {', '.join(theirs.names)}"
                )
        self.require_samples(store)

    def require_samples(self, store: Store) -> None:
        """Checks that the store's samples have the shapes that it was trained with, whatever its labels are.

        Raises:
            ConfigurationError: they have not.
        """
        if self.description.image_size != store.image_size:
            raise ConfigurationError(
                f"{self.path} takes images of {self.description.image_size} pixels, {store.path} holds"
                f" {store.image_size} pixels"
            )
        self.require_streams(store)

    def require_views(self, augment: AugmentConfig) -> None:
        """Checks that views of faces made by `augment`, its student's, have the size that it was trained with.

        Raises:
            ConfigurationError: they have not.
        """
        size = self.description.image_size
        own, given = view_size(size, self.recipe.augment), view_size(size, augment)
        if own != given:
            raise ConfigurationError(
                f"teacher {self.path}: takes views of {own} pixels of faces of {size}, expected {given} as its student;"
                " give both the same augment.crop"
            )

    def require_streams(self, store: Store) -> None:
        """Checks that the store has the streams beside faces that the network takes, in their shapes.

        Raises:
            ConfigurationError: it has not.
        """
        expected = self.description.streams
        for name, shape in store.shapes(expected, str(self.path)).items():
            if shape != expected[name]:
                raise ConfigurationError(
                    f"{self.path} takes {name} of the shape {expected[name]}, {store.path} holds {shape}"
                )

    def tasks(self, recipe: Recipe) -> dict[str, Task]:
        """Its tasks, as they were trained, to predict as `recipe` says."""
        return build_tasks(self.description.spaces, recipe.loss, recipe.model, options=self.recipe.tasks)

    def weights_sha256(self) -> str:
        """Hash of the file of its weights."""
        return self.description.files[WEIGHTS]

    def whole(self, name: str) -> Path:
        """A file of this machine with what is in one of its files.

        Raises:
            StoreError: it is damaged.
        """
        return _whole(self.path, self.description, name)

    def _weights(self) -> dict[str, Tensor]:
        return weights_in(self.whole(WEIGHTS))

    def copy(self, folder: AnyPath) -> None:
        """Copies it, without what only training needs, to `folder`."""
        kept = {name: sha256 for name, sha256 in self.description.files.items() if name not in RESUMED}
        for name in kept:
            with atomic_path(folder / name) as temporary:
                temporary.write_bytes(self.whole(name).read_bytes())
        self.description.save(folder, kept)


def save(
    folder: Path,
    network: nn.Module,
    optimizer: Optimizer,
    recipe: Recipe,
    description: Description,
    losses: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
) -> None:
    """Writes a checkpoint into an existing folder.

    Args:
        folder: empty.
        network, optimizer: in training.
        recipe: of the run.
        description: without the files.
        losses: tensors and numbers that losses have learned; none: there is no file of them.
        training: tensors and numbers that training goes on from beside them; none: there is no file of them.

    Raises:
        StorageError: the disk is full, or cannot be written.
    """
    with write_errors_named(folder / WEIGHTS):
        save_file({k: v.contiguous().cpu() for k, v in network.state_dict().items()}, folder / WEIGHTS)
    for name, state in zip(RESUMED, (optimizer.state_dict(), losses, training), strict=True):
        if state:
            # of a file that it opens itself, torch's errors do not say what the disk said
            with write_errors_named(folder / name), (folder / name).open("wb") as stream:
                torch.save(state, stream)
    write_text(folder / RECIPE, dump_recipe(recipe))
    names = [name for name in (WEIGHTS, *RESUMED, RECIPE) if (folder / name).is_file()]
    description.save(folder, {name: sha256_of(folder / name) for name in names})


def load(path: AnyPath | str) -> Checkpoint:
    """A checkpoint folder, or the best checkpoint of a run's folder.

    Raises:
        MissingInputError: neither a checkpoint nor a finished run.
        StoreError: a file but those of tensors is damaged, or of another version.
    """
    folder = as_path(path)
    if (folder / RUN_FILE).is_file():
        folder = folder / best_of(folder)
    if not (folder / DESCRIPTION).is_file():
        raise MissingInputError(f"{folder}: neither a finished run ({RUN_FILE}) nor a checkpoint ({DESCRIPTION})")
    description = read_description(folder)
    content = _whole(folder, description, RECIPE).read_bytes()
    return Checkpoint(folder, parse_recipe_text(content, str(folder / RECIPE)), description)


def best_of(run: AnyPath) -> str:
    """Name of the best checkpoint of a finished run.

    Raises:
        StoreError: `run.json` is damaged.
    """
    name = read_json(run / RUN_FILE, DAMAGED).get("best")
    if not isinstance(name, str) or not is_name(name):
        raise StoreError(
            f"{run / RUN_FILE}: found {quoted(name)} as best, expected the name of a checkpoint; {DAMAGED}"
        )
    return name


def _whole(folder: AnyPath, description: Description, name: str) -> Path:
    if name not in description.files:
        raise StoreError(f"{folder}: a checkpoint without {name}")
    return whole_file(folder / name, description.files[name], DAMAGED)


def read_description(folder: AnyPath) -> Description:
    """The description in a checkpoint's folder.

    Raises:
        StoreError: it is damaged, or of another version.
    """
    file = folder / DESCRIPTION
    try:
        description = Description.model_validate(read_json(file, DAMAGED))
    except ValidationError as error:
        raise StoreError(f"{file}: not a checkpoint of version 4: {wrong_values(error)[0]}; {DAMAGED}") from None
    require_hash(file, description.hash(), description.content_hash, DAMAGED)
    return description
