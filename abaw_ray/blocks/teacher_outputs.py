"""Outputs of a teacher, or of an ensemble of them, computed once for any number of students.

teacher_outputs.json                       what it holds; written last
blocks/face/<database>/<name>.arrow        outputs for the store's block of that path

Networks of frames say something of a number of views of every training image, temporal networks of every frame of the
videos. A block has a column for each task: the logits of all views of an image lie side by side; and of an ensemble one
with the mean of the members' entropies. Images outside the training sets have NaN.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import field_serializer

from abaw_ray.blocks.computed import ComputedManifest, ComputedStore, column
from abaw_ray.blocks.reader import Store
from abaw_ray.config import AugmentConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.storage import AnyPath, as_path


class TeacherManifest(ComputedManifest):
    """Contents of such a folder."""

    FILE, WHAT, COMMAND = "teacher_outputs.json", "outputs of a teacher", "teacher-outputs"
    kind: str
    """Kind of the teachers' networks: a name in `models.kinds.NETWORKS`."""
    teachers: tuple[str, ...]
    """Hashes of their weights; several are an ensemble."""
    outputs: dict[str, int]
    """Task -> number of logits."""
    groups: dict[str, int]
    """Task -> number of entropies, one for each group of its distributions; empty for one teacher."""
    sets: tuple[str, ...]
    """Training sets whose images have outputs; of temporal teachers none is named: all frames have."""
    augment: AugmentConfig
    """Augmentation that views are drawn with; networks of frames have a number of views."""

    @field_serializer("augment")
    def _views(self, augment: AugmentConfig) -> dict[str, Any]:
        """Zoom, crop and flip alone: there are outputs of no other views. Hashes of zoomed ones stay as they were."""
        crop = set() if augment.crop is None else {"crop"}
        return augment.model_dump(include={"zoom", "flip", "views", "views_seed", *crop})

    @property
    def num_views(self) -> int:
        return self.augment.views or 1

    def key(self, path: str) -> str:
        """Hash of everything that a block is made from."""
        return hashlib.sha256((path + self.model_dump_json(exclude={"blocks", "content_hash"})).encode()).hexdigest()


def entropy_column(task: str) -> str:
    """Column of the mean of the members' entropies in bits: (views * groups), as `teachers.ensemble.mean_entropy`."""
    return f"{task}/entropy"


class TeacherOutputs(ComputedStore[TeacherManifest]):
    """Complete outputs, opened for reading beside the store whose images they are about.

    Attributes:
        path: their folder.
        manifest: what it holds.

    Raises:
        MissingInputError: not complete.
        StoreError: of another store or version, or not whole.
    """

    def __init__(self, path: AnyPath | str, store: Store) -> None:
        super().__init__(as_path(path), store, TeacherManifest.read(as_path(path)))

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
        return self._read({task: (task, width) for task, width in self.manifest.outputs.items()}, rows, views)

    def read_entropies(self, rows: np.ndarray, views: np.ndarray) -> dict[str, np.ndarray]:
        """Task -> mean entropy (n, groups) float32 of an ensemble's members in bits; arguments as of `read`."""
        groups = self.manifest.groups.items()
        return self._read({task: (entropy_column(task), width) for task, width in groups}, rows, views)

    def _read(
        self, columns: Mapping[str, tuple[str, int]], rows: np.ndarray, views: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Task -> (n, width) of its column, given by name and width."""
        result = {task: np.empty((len(rows), width), np.float32) for task, (_, width) in columns.items()}
        for here, batch, places, _ in self._groups(rows):
            for task, (name, width) in columns.items():
                stored = column(batch, name, width * self.manifest.num_views)
                result[task][here] = stored.reshape(len(stored), -1, width)[places, views[here]]
        return result
