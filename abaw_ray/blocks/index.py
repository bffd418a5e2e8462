"""The index of a store: what every image is of, and its place, memory-mapped as NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.blocks.files import damage_named, map_columns, mapped_array, write_table
from abaw_ray.blocks.schema import index_schema, set_schema
from abaw_ray.storage import AnyPath


@dataclass(frozen=True)
class Index:
    """One row a sample, in the order of database, block and row; the rows of a video are together, its frames ascend.

    Rows without a face are in the block where it would be: blocks are parts of the index, of any stream.

    Args:
        database: (n,) int8 place in the store's list of databases.
        frame: (n,) int32 frame of a video, or place of a face in a photo.
        block: (n,) int32 place in the manifest's list of blocks, ascending.
        row: (n,) int32 row of the block of faces; -1: it has no face.
        videos: (n,) dictionary array of video names; names are unique within a database.
        subjects: (n,) dictionary array of names of people; null where the database does not say.
    """

    database: np.ndarray
    frame: np.ndarray
    block: np.ndarray
    row: np.ndarray
    videos: pa.DictionaryArray
    subjects: pa.DictionaryArray

    def __len__(self) -> int:
        return len(self.row)

    @property
    def has_face(self) -> np.ndarray:
        """Which rows (n,) bool have a face."""
        return self.row >= 0

    def rows_of_block(self, block: int) -> slice:
        """The rows that are in a block, given by its place in the manifest's list; those without a face, too."""
        first, last = (int(np.searchsorted(self.block, block, side)) for side in ("left", "right"))
        return slice(first, last)

    def video(self, rows: np.ndarray) -> list[str]:
        """Video names of `rows` (n,)."""
        return self.videos.take(pa.array(rows)).to_pylist()

    def subject(self, rows: np.ndarray) -> list[str | None]:
        """Who is on the images of `rows` (n,)."""
        return self.subjects.take(pa.array(rows)).to_pylist()


@dataclass(frozen=True)
class IndexPart:
    """A database's rows of the index.

    Args:
        rows: table with the columns video, frame and subject, in order.
        block: (rows,) place in the manifest's list of blocks.
        row: (rows,) row of the block; -1: without a face.
    """

    rows: pa.Table
    block: np.ndarray
    row: np.ndarray


def write_index(path: AnyPath, parts: Sequence[IndexPart]) -> str:
    """Writes the index of databases 0, 1, ... from their parts; returns the file's hash."""
    schema = index_schema()
    tables = []
    for database, part in enumerate(parts):
        placed = {
            "database": pa.array(np.full(part.rows.num_rows, database, np.int8)),
            "block": pa.array(part.block, pa.int32()),
            "row": pa.array(part.row, pa.int32()),
        }
        columns = [placed[name] if name in placed else part.rows[name] for name in schema.names]
        tables.append(pa.table(columns, names=schema.names))
    table = pa.concat_tables(tables)
    for name in ("video", "subject"):
        encoded = pc.dictionary_encode(table[name]).unify_dictionaries()
        table = table.set_column(schema.get_field_index(name), name, encoded)
    return write_table(path, table.cast(schema))


def read_index(path: Path) -> Index:
    """Maps an index.

    Raises:
        StoreError: not there or not an index.
    """
    batch = map_columns(path, index_schema())
    with damage_named(path):
        return Index(
            database=mapped_array(batch, "database"),
            frame=mapped_array(batch, "frame"),
            block=mapped_array(batch, "block"),
            row=mapped_array(batch, "row"),
            videos=batch.column("video"),
            subjects=batch.column("subject"),
        )


def write_rows(path: AnyPath, rows: np.ndarray) -> str:
    """Writes a training set: rows (n,) of the index; returns the file's hash."""
    return write_table(path, pa.table([pa.array(rows, pa.int64())], schema=set_schema()))


def read_rows(path: Path) -> np.ndarray:
    """Maps a training set's rows (n,) int64.

    Raises:
        StoreError: not there or not a training set.
    """
    batch = map_columns(path, set_schema())
    with damage_named(path):
        return mapped_array(batch, "row")
