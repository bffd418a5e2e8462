"""Ways from stored faces to batches of `BATCH`: ours and the reference's, and what all of them share.

A contender writes the faces in its own format, and gives endless batches in three forms: uint8 images as a device could
take them, floats augmented batch by batch with our functions, and floats by torchvision's transforms image by image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from loading_images import SIDE, Faces
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from torchvision import transforms
from torchvision.transforms import v2

from abaw_ray.augmentation import NUM_UNIFORMS, random_views, zoomed_size
from abaw_ray.blocks.reader import Store
from abaw_ray.config import AugmentConfig, load_recipe
from abaw_ray.models.cnn import normalised
from abaw_ray.models.colours import Colours
from abaw_ray.sampling.order import SampleOrder
from abaw_ray.spaces import Split
from abaw_ray.training.prefetch import prefetch

BATCH = 64
CORES = 2
NUM_STEPS = 1_000_000  # more than are ever taken
AUGMENT = AugmentConfig()
MEAN, STD = (torch.tensor(values)[:, None, None] for values in Colours.of_imagenet())

Encoding = Literal["raw", "jpeg"]
Form = Literal["uint8", "float", "transforms"]
Mode = Literal["threads", "process", "workers", "tasks"]
Batches = Iterator[Tensor]


TRANSFORMS = v2.Compose(
    [
        v2.Resize(int(AUGMENT.zoom * SIDE)),
        v2.RandomCrop(SIDE),
        v2.RandomHorizontalFlip(AUGMENT.flip),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize((MEAN.flatten() / 255).tolist(), (STD.flatten() / 255).tolist()),
    ]
)


def training_ready(images: Tensor, uniforms: Tensor) -> Tensor:
    """Our augmentation and normalisation of a batch (n, SIDE, SIDE, 3) uint8: (n, 3, SIDE, SIDE) float32."""
    return normalised(random_views(images, uniforms, AUGMENT), MEAN, STD)


def in_form(images: Tensor, form: Form) -> Tensor:
    """A peer's batch (n, SIDE, SIDE, 3) uint8 as it is, or as (n, 3, SIDE, SIDE) float32."""
    if form == "float":
        return training_ready(images, torch.rand(len(images), NUM_UNIFORMS))
    if form == "transforms":
        return torch.stack([TRANSFORMS(image) for image in images.permute(0, 3, 1, 2)])
    return images


@dataclass(frozen=True)
class Contender(ABC):
    """A way to load faces.

    Attributes:
        encoding: of the images in its files.
        forms: it is measured in.
        modes: it can use the cores in: threads; the one process that takes the batches (torch has a thread a core);
            worker processes of a DataLoader, one a core; tasks of Ray, one a core.
    """

    encoding: Encoding
    forms: ClassVar[tuple[Form, ...]] = ("uint8", "float", "transforms")
    modes: ClassVar[tuple[Mode, ...]] = ("process", "workers")

    @abstractmethod
    def write(self, faces: Faces, folder: Path) -> None:
        """Writes all faces below `folder`."""

    @abstractmethod
    def batches(self, faces: Faces, folder: Path, mode: Mode, form: Form) -> Batches:
        """Endless random batches."""


@dataclass(frozen=True)
class Blocks(Contender):
    """Our store as training on this device has it: whole views are made ahead by a thread a core, uint8 by one."""

    forms: ClassVar[tuple[Form, ...]] = ("uint8", "float")
    modes: ClassVar[tuple[Mode, ...]] = ("threads",)
    stored: ClassVar[int] = SIDE
    augment: ClassVar[AugmentConfig] = AUGMENT

    def write(self, faces: Faces, folder: Path) -> None:
        from abaw_ray.preprocess.prepare import prepare

        recipe = load_recipe(None, [f"prepare.encoding={self.encoding}", f"prepare.image_size={self.stored}"])
        prepare(recipe, folder, {"folder": {"root": str(faces.files[0].parents[1])}}, num_cpus=CORES)

    def batches(self, faces: Faces, folder: Path, mode: Mode, form: Form) -> Batches:
        store = Store(folder)
        rows = store.rows_with("expression", Split.TRAIN)
        classes = store.labels("expression").of(rows)[0].argmax(axis=1)
        weights = 1.0 / np.bincount(classes)[classes]
        order = SampleOrder({"faces": weights}, BATCH, 0, NUM_STEPS)

        def read(step: int) -> Tensor:
            samples = order.shard(0, step, 0, 1, NUM_UNIFORMS)["faces"]
            images = torch.from_numpy(store.images(rows[samples.rows]))
            if form == "uint8":
                return images
            return random_views(images, torch.from_numpy(samples.uniforms.astype(np.float32)), self.augment)

        for batch in prefetch(read, NUM_STEPS, CORES if form == "float" else 1):
            yield normalised(batch, MEAN, STD) if form == "float" else batch


@dataclass(frozen=True)
class LargerBlocks(Blocks):
    """Our store of faces at the zoomed size, of which views are cut out as they are."""

    forms: ClassVar[tuple[Form, ...]] = ("float",)
    stored: ClassVar[int] = zoomed_size(SIDE, AUGMENT)
    augment: ClassVar[AugmentConfig] = AugmentConfig(crop=SIDE)


@dataclass(frozen=True)
class Reference(Contender):
    """What the paper's code does with loose files: PIL and torchvision's transforms, image by image."""

    forms: ClassVar[tuple[Form, ...]] = ("uint8", "transforms")
    modes: ClassVar[tuple[Mode, ...]] = ("workers",)

    def write(self, faces: Faces, folder: Path) -> None:
        """The loose files are there."""

    def batches(self, faces: Faces, folder: Path, mode: Mode, form: Form) -> Batches:
        augmented = transforms.Compose(
            [
                transforms.Resize(int(AUGMENT.zoom * SIDE)),
                transforms.RandomCrop(SIDE),
                transforms.RandomHorizontalFlip(AUGMENT.flip),
                transforms.ToTensor(),
                transforms.Normalize(MEAN.flatten() / 255, STD.flatten() / 255),
            ]
        )
        plain = transforms.PILToTensor()
        files = LooseFiles(faces.files, augmented if form == "transforms" else plain)
        sampler = WeightedRandomSampler(faces.weights.tolist(), NUM_STEPS, replacement=True)
        return iter(DataLoader(files, BATCH, sampler=sampler, num_workers=CORES))


@dataclass(frozen=True)
class LooseFiles(Dataset[Tensor]):
    """Files by number."""

    files: list[Path]
    transform: Callable[[Image.Image], Tensor]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> Tensor:
        return self.transform(Image.open(self.files[number]).convert("RGB"))


class RandomRows:
    """Endless balanced batches of row numbers, for peers that give images by number."""

    def __init__(self, weights: np.ndarray) -> None:
        self._cumulative = np.cumsum(weights)

    def __iter__(self) -> Iterator[np.ndarray]:
        rng = np.random.default_rng()
        while True:
            yield np.searchsorted(self._cumulative, rng.random(BATCH) * self._cumulative[-1])


class ByRows(Dataset[Tensor]):
    """Batches of a peer that gives images by number.

    Args:
        read: rows (n,) -> images (n, SIDE, SIDE, 3) uint8.
        form: of the batches.
    """

    def __init__(self, read: Callable[[np.ndarray], Tensor], form: Form) -> None:
        self._read, self._form = read, form

    def __getitem__(self, rows: np.ndarray) -> Tensor:
        return in_form(self._read(rows), self._form)


def batches_by_rows(faces: Faces, read: Callable[[np.ndarray], Tensor], mode: Mode, form: Form) -> Batches:
    """Balanced batches of a peer that gives images by number; see `ByRows`."""
    dataset, rows = ByRows(read, form), RandomRows(faces.weights)
    if mode == "process":
        return (dataset[batch] for batch in rows)
    return iter(DataLoader(dataset, batch_size=None, sampler=rows, num_workers=CORES))
