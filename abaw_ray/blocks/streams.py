"""Streams of a store: their samples by rows of the index."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np

from abaw_ray.blocks.cache import is_local, local_file
from abaw_ray.blocks.consistency import check_places, require_ascending
from abaw_ray.blocks.files import damage_named, map_columns, mapped_array
from abaw_ray.blocks.manifest import BlockEntry, StreamEntry
from abaw_ray.blocks.row_readers import RowReader
from abaw_ray.blocks.schema import STREAMS, places_schema
from abaw_ray.storage import AnyPath
from abaw_ray.streams import kind_of
from abaw_ray.streams.base import Stream
from abaw_ray.streams.kind import Kind

NUM_FETCHERS = 8
"""Blocks of a remote store on their way at the same time."""


def places_path(store: AnyPath, stream: str) -> AnyPath:
    """File of a stream's places."""
    return store / STREAMS / f"{stream}.arrow"


class BlockFiles:
    """Where the files of blocks are on this node; blocks are given by their places in the manifest's list.

    Args:
        folder: of blocks.
        entries: the blocks.
    """

    def __init__(self, folder: AnyPath, entries: Sequence[BlockEntry]) -> None:
        self._folder, self._entries = folder, entries

    def locate(self, block: int) -> Path:
        """The file of a block, fetched if need be.

        Raises:
            StoreError: it is damaged.
        """
        entry = self._entries[block]
        return local_file(self._folder / entry.path, entry.sha256)

    def fetch(self, blocks: np.ndarray) -> None:
        """Brings blocks (n,) of a remote store to this node, several at a time; those that are there stay.

        Raises:
            StoreError: one is damaged.
        """
        if isinstance(self._folder, Path):
            return
        missing = [block for block in np.unique(blocks).tolist() if not self._is_here(self._entries[block])]
        if missing:
            with ThreadPoolExecutor(NUM_FETCHERS) as threads:
                list(threads.map(self.locate, missing))

    def _is_here(self, entry: BlockEntry) -> bool:
        return is_local(self._folder / entry.path, entry.sha256)


class StreamBlocks:
    """The samples of a stream by blocks, which are given by their places in the manifest's list.

    Args:
        folder: of blocks.
        entries: the blocks.
        stream: what they hold.
    """

    def __init__(self, folder: AnyPath, entries: Sequence[BlockEntry], stream: Stream) -> None:
        self._is_remote, self._files = not isinstance(folder, Path), BlockFiles(folder, entries)
        self._num_rows, self._stream = [entry.num_rows for entry in entries], stream

    @cached_property
    def kind(self) -> Kind:
        """Kind of the stream.

        Raises:
            ConfigurationError: there is no such kind: a plugin is missing.
        """
        return kind_of(self._stream)

    @cached_property
    def _reader(self) -> RowReader:
        return self.kind.reader(self._stream, self._files.locate, self._num_rows)

    def read(self, blocks: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Samples (n, ...) as the kind keeps them, at `rows` (n,) of `blocks` (n,); repeats are allowed.

        Raises:
            StoreError: a block file is missing or not whole.
        """
        if self._is_remote:
            # an open file can be read when it is no longer in the cache
            self._files.fetch(self._reader.not_open(blocks))
        return self._reader.read(blocks, rows)

    def fetch(self, blocks: np.ndarray) -> None:
        """See `BlockFiles.fetch`."""
        self._files.fetch(blocks)


class StoredStream:
    """A stream that rows have beside their faces.

    Args:
        entry: of the manifest.
        places: file of its places, on this machine.
        folder: of the store's blocks.

    Attributes:
        stream: what its samples are.
        rows: (samples,) int64 rows of the index that have it, ascending.

    Raises:
        StoreError: the file of places is not whole.
    """

    def __init__(self, entry: StreamEntry, places: Path, folder: AnyPath) -> None:
        self.stream, self.entry = entry.stream, entry
        self._blocks = StreamBlocks(folder, entry.blocks, entry.stream)
        batch = map_columns(places, places_schema())
        with damage_named(places):
            self.rows, self._block, self._place = (mapped_array(batch, name) for name in places_schema().names)
        require_ascending(places, "rows", self.rows, strictly=True)
        check_places(places, self._block, self._place, entry.blocks)

    @property
    def kind(self) -> Kind:
        """Kind of the stream."""
        return self._blocks.kind

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples (n, ...) as the kind keeps them, of `rows` (n,) of the index, and which of them there are (n,) bool.

        Of a row that does not have the stream the sample is zeros.

        Raises:
            StoreError: a block file is missing or not whole.
        """
        present, at = self._found(rows)
        found = self._blocks.read(self._block[at[present]], self._place[at[present]])
        if present.all():
            return found, present
        samples = np.zeros((len(rows), *found.shape[1:]), found.dtype)
        samples[present] = found
        return samples, present

    def blocks_of(self, rows: np.ndarray | None) -> list[BlockEntry]:
        """The blocks with the samples of `rows` (n,) of the index; None: all."""
        if rows is None:
            return self.entry.blocks
        present, at = self._found(rows)
        return [self.entry.blocks[block] for block in np.unique(self._block[at[present]]).tolist()]

    def _found(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of `rows` have it, and at which of its places they would be."""
        if not len(self.rows):
            return np.zeros(len(rows), bool), np.zeros(len(rows), np.int64)
        at = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return self.rows[at] == rows, at
