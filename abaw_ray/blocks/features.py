"""A store of features: for every frame of the videos of a store, what a CNN's heads make of its views.

features.json                              what it holds; written last
cnn/                                       the CNN's checkpoint, without its optimiser
blocks/face/<database>/<name>.arrow        features of the store's block of that path

A block has a column for each task and variant (see `augmentation.Variants`): a window's frames lie side by side. Frames
without a train label have the evaluation view only.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

from abaw_ray.augmentation import Variants
from abaw_ray.blocks.computed import ComputedManifest, ComputedStore, column
from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError
from abaw_ray.storage import AnyPath, as_path

CNN = "cnn"


class FeatureManifest(ComputedManifest):
    """Contents of a feature store."""

    FILE, WHAT, COMMAND = "features.json", "features", "features"
    cnn_sha256: str
    """Hash of the CNN's weights."""
    tasks: tuple[str, ...]
    width: int
    """Numbers a task and frame."""
    databases: tuple[str, ...]
    all_variants: bool
    """Whether frames with a train label have all variants, or the evaluation view only."""
    offsets: list[int]
    flips: list[bool]
    margin: int
    flip: float
    """The variants."""

    @property
    def variants(self) -> Variants:
        return Variants(np.array(self.offsets), np.array(self.flips), self.margin, self.flip)


def block_key(manifest: FeatureManifest, path: str, variants: list[int]) -> str:
    """Hash of everything that a block is made from."""
    made_by = [manifest.store_hash, manifest.cnn_sha256, manifest.precision]
    values = [*made_by, path, variants, manifest.offsets, manifest.flips]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


class FeatureStore(ComputedStore[FeatureManifest]):
    """A complete feature store, opened for reading beside the store whose frames it is about.

    Attributes:
        path: its folder.
        manifest: what it holds.
        variants: the views it knows.

    Raises:
        MissingInputError: not a complete feature store.
        StoreError: of another store or version, or not whole.
    """

    def __init__(self, path: AnyPath | str, store: Store) -> None:
        super().__init__(as_path(path), store, FeatureManifest.read(as_path(path)))
        self.variants = self.manifest.variants

    @property
    def cnn(self) -> AnyPath:
        """Folder of the CNN's checkpoint."""
        return self.path / CNN

    def choose(self, v: np.ndarray) -> np.ndarray:
        """The variant of each training window from its random number (windows,) in [0, 1)."""
        return self.variants.of(v) if self.manifest.all_variants else np.full(len(v), self.variants.centre)

    def of_view(self, number: int) -> FeatureStore:
        """The features of an evaluation view: this, of the centre.

        Raises:
            ConfigurationError: another view than the centre, 0.
        """
        if number != 0:
            raise ConfigurationError(
                f"{self.path}: features of the centre of each face alone, expected those of other views, too: set"
                " train.test_views to 1, or let features be computed (no --features)"
            )
        return self

    def read(self, rows: np.ndarray, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """Features of windows.

        Args:
            rows: (windows, frames) rows of the store's index.
            chosen: (windows,) variants.

        Returns:
            Task -> (windows, frames, width) float32.

        Raises:
            StoreError: a row's block is not in this feature store, or not whole.
        """
        flat, variant = rows.reshape(-1), np.repeat(chosen, rows.shape[1])
        width = self.manifest.width
        result = {task: np.empty((len(flat), width), np.float32) for task in self.manifest.tasks}
        for here, batch, places, kind in self._groups(flat, variant, len(self.variants)):
            for task, values in result.items():
                values[here] = column(batch, f"{task}/{kind}", width)[places]
        return {task: values.reshape(*rows.shape, -1) for task, values in result.items()}
