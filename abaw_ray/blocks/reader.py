"""Reads a store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abaw_ray.blocks.files import sha256_of
from abaw_ray.blocks.images import ImageReader, JpegImages, RawImages
from abaw_ray.blocks.index import Index, read_index, read_rows
from abaw_ray.blocks.manifest import Manifest, SetEntry
from abaw_ray.blocks.schema import BLOCKS, INDEX, SETS, UNSEEN, VIDEOS
from abaw_ray.blocks.videos import Unseen, Videos, read_unseen, read_videos
from abaw_ray.errors import StoreError
from abaw_ray.labels import TASKS, Split

READERS: dict[str, type[ImageReader]] = {reader.encoding: reader for reader in (RawImages, JpegImages)}


@dataclass(frozen=True)
class SourceSet:
    """A training set: its name, the tasks it is made for, its rows (n,) int64 of the index."""

    name: str
    tasks: tuple[str, ...]
    rows: np.ndarray


class Store:
    """A complete store, opened for reading.

    Attributes:
        path: its folder.
        manifest: what it holds.
        index: labels and place of every image.
        sequential: (databases,) bool, whether a database's rows are frames of videos.
        videos: the videos of the sequential databases, and their rows.
        unseen: labelled frames of videos that have no image.
        sets: training sets by name; those of one task first, in the order of `labels.TASKS`.

    Raises:
        MissingInputError: no such folder.
        StoreError: not a complete store of this version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.manifest = Manifest.load(self.path)
        self._blocks = [self.path / BLOCKS / block.path for block in self.manifest.blocks]
        self._check_complete()
        num_rows = [block.num_rows for block in self.manifest.blocks]
        self._images = READERS[self.manifest.encoding](self._blocks, num_rows, self.image_size)
        self.index: Index = read_index(self.path / INDEX)
        if len(self.index) != self.manifest.num_images:
            raise StoreError(f"{self.path / INDEX}: {len(self.index)} rows, expected {self.manifest.num_images}")
        self.sequential = np.array([database.sequential for database in self.manifest.databases], bool)
        self.videos: Videos = read_videos(self.path / VIDEOS, self.index, self.sequential)
        self.unseen: Unseen = read_unseen(self.path / UNSEEN)
        self.sets = {
            entry.name: SourceSet(entry.name, entry.tasks, read_rows(set_path(self.path, entry.name)))
            for entry in sorted(self.manifest.sets, key=_set_order)
        }

    @property
    def image_size(self) -> int:
        """Side of an image in pixels."""
        return self.manifest.image_size

    @property
    def databases(self) -> list[str]:
        """Names of the databases, in the order of the index's codes."""
        return [database.name for database in self.manifest.databases]

    def rows_with(self, task: str, split: Split) -> np.ndarray:
        """Rows (n,) int64, ascending, with a label of `task` that belongs to `split`."""
        return np.flatnonzero(self.index.splits[task] == split)

    def validation_rows(self) -> np.ndarray:
        """Rows (n,) int64, ascending, with a validation label of any task."""
        return np.flatnonzero(np.any([s == Split.VALIDATION for s in self.index.splits.values()], axis=0))

    def images(self, rows: np.ndarray) -> np.ndarray:
        """Images (n, size, size, 3) uint8 RGB of `rows` (n,), in any order, repeats allowed.

        Raises:
            StoreError: a block file is missing or not whole.
        """
        return self._images.read(self.index.block[rows], self.index.row[rows])

    def verify(self) -> None:
        """Recomputes the hash of every file.

        Raises:
            StoreError: a file is not as it was written; the message names it.
        """
        if self.manifest.hash() != self.manifest.content_hash:
            raise StoreError(f"{self.path}: the manifest does not have the content hash it states")
        expected = [(self.path / INDEX, self.manifest.index_sha256)]
        expected += [(self.path / VIDEOS, self.manifest.videos_sha256)]
        expected += [(self.path / UNSEEN, self.manifest.unseen_sha256)]
        expected += [(set_path(self.path, entry.name), entry.sha256) for entry in self.manifest.sets]
        expected += [(path, b.sha256) for path, b in zip(self._blocks, self.manifest.blocks, strict=True)]
        for path, sha256 in expected:
            if sha256_of(path) != sha256:
                raise StoreError(f"{path}: damaged, its hash is not the manifest's; delete it and prepare again")

    def _check_complete(self) -> None:
        files = [self.path / name for name in (INDEX, VIDEOS, UNSEEN)]
        files += [*(set_path(self.path, s.name) for s in self.manifest.sets), *self._blocks]
        missing = [file for file in files if not file.is_file()]
        if missing:
            raise StoreError(f"{missing[0]}: missing ({len(missing)} files of the store are); prepare the store again")


def set_path(store: Path, name: str) -> Path:
    """File of a training set."""
    return store / SETS / f"{name}.arrow"


def _set_order(entry: SetEntry) -> tuple[int, int, str]:
    return len(entry.tasks), list(TASKS).index(entry.tasks[0]), entry.name
