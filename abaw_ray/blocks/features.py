"""A store of features: for every frame of the videos of a store, what a CNN's heads make of its views.

features.json                              what it holds; written last
cnn/                                       the CNN's checkpoint, without its optimiser
blocks/<database>/<splits>/<name>.arrow    features of the store's block of that path

A block has a column for each task and variant (see `augmentation.Variants`): a window's frames lie side by side. Frames
without a train label have the evaluation view only.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from abaw_ray.augmentation import Variants
from abaw_ray.blocks.files import map_batch, sha256_of, write_table
from abaw_ray.blocks.reader import Store
from abaw_ray.errors import MissingInputError, StoreError

MANIFEST = "features.json"
CNN = "cnn"
BLOCKS = "blocks"
MAX_OPEN_FILES = 256
_KEY = b"abaw_ray_features"


class FeatureBlock(BaseModel):
    """A block file, `path` below the folder of blocks."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: str
    num_rows: int
    num_variants: int
    sha256: str


class FeatureManifest(BaseModel):
    """Contents of a feature store."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[1] = 1
    store_hash: str
    """Content hash of the store that the frames are in."""
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
    blocks: list[FeatureBlock]

    @property
    def variants(self) -> Variants:
        return Variants(np.array(self.offsets), np.array(self.flips), self.margin, self.flip)


def write_features(file: Path, features: dict[str, dict[int, np.ndarray]], key: str) -> str:
    """Writes one block.

    Args:
        file: to write.
        features: task -> variant -> (rows, width) float32.
        key: of everything that the block was made from.

    Returns:
        The hash of the file.
    """
    columns = {
        f"{task}/{variant}": pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
        for task, by_variant in features.items()
        for variant, values in by_variant.items()
    }
    table = pa.table(columns)
    write_table(file, table.replace_schema_metadata({_KEY: key}))
    return sha256_of(file)


def is_finished(file: Path, key: str) -> bool:
    """Whether `file` is a whole block that was made from what `key` is the hash of."""
    try:
        metadata = map_batch(file).schema.metadata or {}
    except StoreError:
        return False
    return metadata.get(_KEY) == key.encode()


def block_key(manifest: FeatureManifest, path: str, variants: list[int]) -> str:
    """Hash of everything that a block is made from."""
    values = [manifest.store_hash, manifest.cnn_sha256, path, variants, manifest.offsets, manifest.flips]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


class FeatureStore:
    """A complete feature store, opened for reading beside the store whose frames it is about.

    Attributes:
        path: its folder.
        manifest: what it holds.
        variants: the views it knows.

    Raises:
        MissingInputError: not a complete feature store.
        StoreError: of another store or version, or not whole.
    """

    def __init__(self, path: Path | str, store: Store) -> None:
        self.path = Path(path)
        self.manifest = read_manifest(self.path)
        self.variants = self.manifest.variants
        if self.manifest.store_hash != store.manifest.content_hash:
            raise StoreError(
                f"{self.path}: features of the store with content hash {self.manifest.store_hash[:12]};"
                f" {store.path} has {store.manifest.content_hash[:12]}"
            )
        files = {block.path: block for block in self.manifest.blocks}
        self._blocks = [files.get(block.path) for block in store.manifest.blocks]
        missing = [self._file(b.path) for b in files.values() if not self._file(b.path).is_file()]
        if missing:
            raise StoreError(f"{missing[0]}: missing ({len(missing)} files of the feature store are)")
        self._index = store.index
        self._mapped = lru_cache(MAX_OPEN_FILES)(self._map)

    @property
    def cnn(self) -> Path:
        """Folder of the CNN's checkpoint."""
        return self.path / CNN

    def choose(self, v: np.ndarray) -> np.ndarray:
        """The variant of each training window from its random number (windows,) in [0, 1)."""
        return self.variants.of(v) if self.manifest.all_variants else np.full(len(v), self.variants.centre)

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
        blocks, places = self._index.block[flat], self._index.row[flat]
        result = {task: np.empty((len(flat), self.manifest.width), np.float32) for task in self.manifest.tasks}
        keys = blocks.astype(np.int64) * len(self.variants) + variant
        for key in np.unique(keys).tolist():
            here = np.flatnonzero(keys == key)
            block, column = divmod(key, len(self.variants))
            batch = self._mapped(block)
            for task, values in result.items():
                stored = batch.column(f"{task}/{column}").flatten().to_numpy().reshape(-1, self.manifest.width)
                values[here] = stored[places[here]]
        return {task: values.reshape(*rows.shape, -1) for task, values in result.items()}

    def verify(self) -> None:
        """Recomputes the hash of every block.

        Raises:
            StoreError: a file is not as it was written; the message names it.
        """
        for block in self.manifest.blocks:
            if sha256_of(self._file(block.path)) != block.sha256:
                raise StoreError(f"{self._file(block.path)}: damaged, its hash is not the manifest's")

    def _file(self, path: str) -> Path:
        return self.path / BLOCKS / path

    def _map(self, block: int) -> pa.RecordBatch:
        entry = self._blocks[block]
        if entry is None:
            raise StoreError(f"{self.path}: no features of that database; it has {', '.join(self.manifest.databases)}")
        batch = map_batch(self._file(entry.path))
        if batch.num_rows != entry.num_rows:
            found = f"{batch.num_rows} rows, expected {entry.num_rows}"
            raise StoreError(f"{self._file(entry.path)}: found {found}")
        return batch


def read_manifest(path: Path) -> FeatureManifest:
    """The manifest of a complete feature store.

    Raises:
        MissingInputError: not a complete feature store.
        StoreError: of another version.
    """
    if not (path / MANIFEST).is_file():
        raise MissingInputError(f"{path}: not a complete feature store; write one with `abaw-ray features`")
    try:
        return FeatureManifest.model_validate_json((path / MANIFEST).read_bytes())
    except ValidationError as error:
        raise StoreError(f"{path / MANIFEST}: not a feature store of version 1: {error.errors()[0]['msg']}") from None
