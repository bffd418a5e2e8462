"""Numbers that a network computed for every row of a store's blocks, in files of the blocks' paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Generic, Literal, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from abaw_ray.below import BelowFolder
from abaw_ray.blocks.cache import local_file
from abaw_ray.blocks.files import describe_file, json_sha256, map_batch, require_hash, write_table, write_text
from abaw_ray.blocks.integrity import Expected, require_whole
from abaw_ray.blocks.reader import Store, check_files
from abaw_ray.errors import MissingInputError, StoreError, wrong_values
from abaw_ray.storage import AnyPath

BLOCKS = "blocks"
MAX_OPEN_FILES = 256
_KEY = b"abaw_ray_key"


ManifestT = TypeVar("ManifestT", bound="ComputedManifest")


class ComputedBlock(BaseModel):
    """A block file, `path` below the folder of blocks; `num_variants`: views of each row."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: BelowFolder
    num_rows: int
    num_variants: int
    sha256: str


class ComputedManifest(BaseModel):
    """What such a folder holds."""

    FILE: ClassVar[str]
    """Its name."""
    WHAT: ClassVar[str]
    """The folder holds, for messages."""
    COMMAND: ClassVar[str]
    """That writes such folders."""
    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[3] = 3
    store_hash: str
    """`Manifest.hash_of` the store that the rows are in, with `streams`."""
    streams: tuple[str, ...] = ()
    """Streams of the store beside faces that the numbers were computed from."""
    precision: str
    """`train.precision` that the numbers were computed under."""
    blocks: list[ComputedBlock]
    content_hash: str = ""
    """Hash of everything above."""

    def complete(self: ManifestT, blocks: list[ComputedBlock]) -> ManifestT:
        """The manifest with its blocks."""
        manifest = self.model_copy(update={"blocks": blocks})
        return manifest.model_copy(update={"content_hash": manifest.hash()})

    def hash(self) -> str:
        """The content hash."""
        return json_sha256(self.model_dump(mode="json", exclude={"content_hash"}))

    def settings(self) -> dict[str, object]:
        """Everything that the blocks' numbers depend on."""
        return self.model_dump(exclude={"blocks", "content_hash"})

    def save(self, folder: AnyPath) -> None:
        """Writes it, which makes the folder complete."""
        write_text(folder / self.FILE, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def read(cls: type[ManifestT], folder: AnyPath) -> ManifestT:
        """The manifest of a complete folder.

        Raises:
            MissingInputError: not complete.
            StoreError: damaged, or of another version.
        """
        path = folder / cls.FILE
        if not path.is_file():
            raise MissingInputError(f"{folder}: no complete {cls.WHAT}; write them with `abaw-ray {cls.COMMAND}`")
        try:
            manifest = cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise StoreError(
                f"{path}: not of version 3: {wrong_values(error)[0]}; compute them in a new folder"
            ) from None
        require_hash(path, manifest.hash(), manifest.content_hash, "delete it and compute them again")
        return manifest


def write_columns(file: AnyPath, columns: dict[str, np.ndarray], key: str) -> str:
    """Writes one block.

    Args:
        file: to write.
        columns: name -> (rows, width) float32.
        key: hash of everything that the block was made from.

    Returns:
        The hash of the file.
    """
    arrays = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
        for name, values in columns.items()
    }
    return write_table(file, pa.table(arrays).replace_schema_metadata({_KEY: key}))


def is_finished(file: AnyPath, key: str) -> bool:
    """Whether `file` is a whole block that was made from what `key` is the hash of."""
    try:
        return describe_file(file)[0].get(_KEY) == key.encode()
    except StoreError:
        return False


class ComputedStore(Generic[ManifestT]):
    """A complete folder, opened for reading beside the store whose rows it is about.

    Args:
        path: of the folder; its files are in `blocks` below it.
        store: whose rows they are about.
        manifest: what the folder holds.

    Attributes:
        path, manifest: as above.

    Raises:
        StoreError: of another store, or a file is missing.
    """

    def __init__(self, path: AnyPath, store: Store, manifest: ManifestT) -> None:
        self.path, self.manifest, self._index = path, manifest, store.index
        found = store.manifest.hash_of(manifest.streams)
        if manifest.store_hash != found:
            raise StoreError(
                f"{path}: {manifest.WHAT} for a store whose images and labels have the hash {manifest.store_hash[:12]};"
                f" those of {store.path} have {found[:12]}"
            )
        by_path = {entry.path: entry for entry in manifest.blocks}
        self._by_block = [by_path.get(block.path) for block in store.manifest.blocks]
        self._first_rows = np.searchsorted(store.index.block, np.arange(len(self._by_block), dtype=np.int32))
        check_files(path / BLOCKS, list(by_path), "compute them again")
        self._mapped = lru_cache(MAX_OPEN_FILES)(self._map)

    def verify(self, rows: np.ndarray | None = None) -> None:
        """Recomputes hashes of files of this machine.

        Args:
            rows: (n,) of the store's index, whose files are looked at; None: all.

        Raises:
            StoreError: a file is not as it was written; the message names it.
        """
        entries = self.manifest.blocks
        if rows is not None:
            found = [self._by_block[block] for block in np.unique(self._index.block[rows]).tolist()]
            entries = [entry for entry in found if entry is not None]
        require_whole(block_files(self.path, entries), "the command that computed it mends it")

    def _groups(self, rows: np.ndarray, kind: np.ndarray | int = 0, num_kinds: int = 1) -> Iterator[tuple]:
        """`rows` (n,) of the store's index, grouped by block and `kind` (n,).

        Yields:
            Positions (k,) in `rows`, the block's record batch, rows (k,) of it, the kind.

        Raises:
            StoreError: a row's block is not here, or its file not whole.
        """
        blocks = self._index.block[rows]
        places = rows - self._first_rows[blocks]
        keys = blocks.astype(np.int64) * num_kinds + kind
        for key in np.unique(keys).tolist():
            here = np.flatnonzero(keys == key)
            block, of_kind = divmod(key, num_kinds)
            yield here, self._mapped(block), places[here], of_kind

    def _file(self, entry: ComputedBlock) -> AnyPath:
        return self.path / BLOCKS / entry.path

    def _map(self, block: int) -> pa.RecordBatch:
        entry = self._by_block[block]
        if entry is None:
            databases = ", ".join(sorted({Path(e.path).parts[1] for e in self.manifest.blocks}))
            raise StoreError(f"{self.path}: nothing computed for that database or block; it has {databases}")
        batch = map_batch(local_file(self._file(entry), entry.sha256))
        if batch.num_rows != entry.num_rows:
            raise StoreError(f"{self._file(entry)}: found {batch.num_rows} rows, expected {entry.num_rows}")
        return batch


def block_files(folder: AnyPath, entries: Sequence[ComputedBlock]) -> list[Expected]:
    """The files of blocks."""
    return [Expected(folder / BLOCKS / entry.path, entry.sha256) for entry in entries]


def column(batch: pa.RecordBatch, name: str, width: int) -> np.ndarray:
    """A column (rows, width) as it lies in the file."""
    return batch.column(name).flatten().to_numpy().reshape(-1, width)
