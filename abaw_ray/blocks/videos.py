"""The videos of a store, and their labelled frames that have no image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.blocks.files import damage_named, map_columns, mapped_array, write_table
from abaw_ray.blocks.index import Index
from abaw_ray.blocks.labels import LabelSet
from abaw_ray.blocks.schema import unseen_schema, videos_schema
from abaw_ray.databases.schemas import LabelKey
from abaw_ray.errors import StoreError
from abaw_ray.storage import AnyPath


@dataclass(frozen=True)
class Videos:
    """The videos of the sequential databases, and the photos of those that label photos whole, in the order of database
    and name.

    Args:
        database: (v,) int8 place in the store's list of databases.
        names: of the videos, unique within a database.
        num_frames: (v,) int32, more than any frame's number (a photo's: of its faces); many frames may have no image.
        start: (v,) int64 first row of the index; where a video has no image, `stop`.
        stop: (v,) int64 row after the last.
    """

    database: np.ndarray
    names: list[str]
    num_frames: np.ndarray
    start: np.ndarray
    stop: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def of_rows(self, num_rows: int) -> np.ndarray:
        """The place of the video of each of the index's rows (num_rows,) int32; -1: it is of none of them."""
        places, lengths = np.full(num_rows, -1, np.int32), self.stop - self.start
        rows = np.arange(lengths.sum()) + np.repeat(self.start - np.cumsum(lengths) + lengths, lengths)
        places[rows] = np.repeat(np.arange(len(self), dtype=np.int32), lengths)
        return places


@dataclass(frozen=True)
class Unseen:
    """Labelled frames of videos that have no image, in the order of video and frame; memory-mapped.

    Args:
        video: (k,) int32 place in `Videos`.
        frame: (k,) int32 number in the video, as in the index.
        label_sets: space and annotator -> labels, looked up by place in here.
    """

    video: np.ndarray
    frame: np.ndarray
    label_sets: dict[LabelKey, LabelSet]

    def __len__(self) -> int:
        return len(self.frame)

    def labels(self, space: str) -> LabelSet:
        """The labels of a space whose annotator has no name."""
        return self.label_sets[space, ""]


def write_videos(path: AnyPath, databases: Sequence[pa.Table]) -> str:
    """Writes the videos of the databases 0, 1, ...: their tables with the columns video and num_frames, sorted.

    Returns:
        The hash of the file.
    """
    return write_table(path, pa.concat_tables([_with_database(code, videos) for code, videos in enumerate(databases)]))


def in_order(unseen: pa.Table, videos: pa.Table) -> pa.Table:
    """A database's unseen frames as `write_unseen` takes them: by place among its videos, and by frame.

    Args:
        unseen: table with the columns video (a name) and frame, and any others, in any order.
        videos: the database's, as given to `write_videos`; they hold every video of `unseen`.
    """
    places = pc.index_in(unseen["video"], value_set=videos["video"].combine_chunks())
    assert places.null_count == 0, "every unseen frame is of a video of the table of videos"
    placed = unseen.set_column(unseen.schema.get_field_index("video"), "video", places)
    return placed.sort_by([("video", "ascending"), ("frame", "ascending")])


def write_unseen(path: AnyPath, unseen: Sequence[pa.Table], videos: Sequence[pa.Table]) -> str:
    """Writes the unseen frames of the databases 0, 1, ....

    Args:
        path: of the file.
        unseen: of the databases, each in order.
        videos: as given to `write_videos`.

    Returns:
        The hash of the file.
    """
    tables, before = [], 0
    for frames, own in zip(unseen, videos, strict=True):
        places = pc.add(frames["video"], pa.scalar(before, pa.int32()))
        tables.append(pa.table([places, frames["frame"]], schema=unseen_schema()))
        before += own.num_rows
    return write_table(path, pa.concat_tables(tables))


def read_videos(path: Path, index: Index, sequential: np.ndarray) -> Videos:
    """Maps the videos and finds their rows.

    Args:
        path: of the file.
        index: of the store.
        sequential: (databases,) bool, whether a database's rows are of videos, so that all of those must be there.

    Raises:
        StoreError: not there, not a table of videos, or not of this index.
    """
    batch = map_columns(path, videos_schema())
    with damage_named(path):
        database, num_frames = mapped_array(batch, "database"), mapped_array(batch, "num_frames")
        names = batch.column("video").to_pylist()
        start, stop = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
        listed = sequential.copy()
        listed[np.unique(database)] = True
        for code, (found, first, last) in _runs(index, listed).items():
            own = np.flatnonzero(database == code)
            places = pc.index_in(found, value_set=pa.array([names[i] for i in own], pa.string()))
            if places.null_count or len(places.unique()) != len(places):
                raise StoreError(f"{path}: not the videos of the store's index; prepare the store again")
            videos = own[places.to_numpy()]
            start[videos], stop[videos] = first, last
    return Videos(database, names, num_frames, start, stop)


def read_unseen(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Maps the unseen frames: video and frame, as of `Unseen`.

    Raises:
        StoreError: not there, or not a table of them.
    """
    batch = map_columns(path, unseen_schema())
    with damage_named(path):
        return mapped_array(batch, "video"), mapped_array(batch, "frame")


def _with_database(code: int, videos: pa.Table) -> pa.Table:
    columns = [pa.array(np.full(videos.num_rows, code, np.int8)), videos["video"], videos["num_frames"]]
    return pa.table(columns, schema=videos_schema())


def _runs(index: Index, listed: np.ndarray) -> dict[int, tuple[pa.Array, np.ndarray, np.ndarray]]:
    """Listed database -> names, first rows, and rows after the last, of its consecutive rows of one video."""
    codes = index.videos.indices.to_numpy()
    is_first = np.ones(len(index), bool)
    is_first[1:] = (np.diff(index.database) != 0) | (np.diff(codes) != 0)
    first = np.flatnonzero(is_first)
    last = np.append(first, len(index))[1:]
    runs = {}
    for code in np.flatnonzero(listed).tolist():
        own = index.database[first] == code
        names = index.videos.dictionary.take(pa.array(codes[first[own]]))
        runs[code] = (names, first[own], last[own])
    return runs
