"""A teacher's outputs for a number of views of every training image, computed once for any number of students.

teacher_outputs.json                       what it holds; written last
blocks/face/<database>/<name>.arrow        outputs for the store's block of that path

A block has a column for each task: the logits of all views of an image lie side by side. Images outside the training
sets have NaN.
"""

from __future__ import annotations

import hashlib

import numpy as np

from abaw_ray.blocks.computed import ComputedBlocks, ComputedManifest, column
from abaw_ray.blocks.reader import Store
from abaw_ray.config import AugmentConfig
from abaw_ray.errors import ConfigurationError, MissingInputError, StoreError
from abaw_ray.storage import AnyPath, as_path

MANIFEST = "teacher_outputs.json"


class TeacherManifest(ComputedManifest):
    """Contents of such a folder."""

    teacher_sha256: str
    """Hash of the teacher's weights."""
    outputs: dict[str, int]
    """Task -> number of logits."""
    sets: tuple[str, ...]
    """Training sets whose images have outputs."""
    augment: AugmentConfig
    """With a number of views."""

    @property
    def num_views(self) -> int:
        assert self.augment.views is not None, "outputs are computed for a number of views"
        return self.augment.views

    def key(self, path: str) -> str:
        """Hash of everything that a block is made from."""
        return hashlib.sha256((path + self.model_dump_json(exclude={"blocks", "content_hash"})).encode()).hexdigest()


class TeacherOutputs:
    """Complete outputs, opened for reading beside the store whose images they are about.

    Attributes:
        path: their folder.
        manifest: what it holds.

    Raises:
        MissingInputError: not complete.
        StoreError: of another store or version, or not whole.
    """

    def __init__(self, path: AnyPath | str, store: Store) -> None:
        self.path = as_path(path)
        self.manifest = read_manifest(self.path)
        if self.manifest.store_hash != store.manifest.content_hash:
            raise StoreError(
                f"{self.path}: outputs for the store with content hash {self.manifest.store_hash[:12]};"
                f" {store.path} has {store.manifest.content_hash[:12]}"
            )
        self._blocks = ComputedBlocks(self.path, store, self.manifest.blocks)

    def require(self, tasks: list[str], sets: list[str], augment: AugmentConfig, precision: str) -> None:
        """Checks that they serve a student with these tasks, training sets, views and precision.

        Raises:
            ConfigurationError: they do not.
        """
        lacking = [t for t in tasks if t not in self.manifest.outputs] + [
            s for s in sets if s not in self.manifest.sets
        ]
        if lacking:
            raise ConfigurationError(f"{self.path}: no outputs for {', '.join(lacking)}")
        if augment != self.manifest.augment:
            raise ConfigurationError(f"{self.path}: outputs for augment {self.manifest.augment}, found {augment}")
        if precision != self.manifest.precision:
            raise ConfigurationError(
                f"{self.path}: outputs under train.precision {self.manifest.precision}, the student's is {precision};"
                " compute them again in another folder"
            )

    def read(self, rows: np.ndarray, views: np.ndarray) -> dict[str, np.ndarray]:
        """Task -> logits (n, outputs) float32 for the rows (n,) of the store's index as views (n,).

        Raises:
            StoreError: a row's block is not among the outputs, or not whole.
        """
        result = {task: np.empty((len(rows), n), np.float32) for task, n in self.manifest.outputs.items()}
        for here, batch, places, _ in self._blocks.groups(rows):
            for task, values in result.items():
                width = values.shape[1]
                stored = column(batch, task, width * self.manifest.num_views)
                values[here] = stored.reshape(len(stored), -1, width)[places, views[here]]
        return result

    def verify(self, rows: np.ndarray | None = None) -> None:
        """Recomputes hashes of blocks of this machine: of those of rows (n,) of the store's index, or all.

        Raises:
            StoreError: a file is not as it was written; the message names it.
        """
        self._blocks.verify(rows)


def read_manifest(path: AnyPath) -> TeacherManifest:
    """The manifest of complete outputs.

    Raises:
        MissingInputError: not complete.
        StoreError: damaged, or of another version.
    """
    if not (path / MANIFEST).is_file():
        raise MissingInputError(f"{path}: no complete outputs of a teacher; write them with `abaw-ray teacher-outputs`")
    return TeacherManifest.load(path / MANIFEST)
