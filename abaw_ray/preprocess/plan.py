"""Plans a database's blocks: which rows go into which file, and a hash of all that the file depends on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.blocks.files import compact
from abaw_ray.blocks.schema import FACE
from abaw_ray.config import PrepareConfig
from abaw_ray.databases.base import (
    Database,
    LabelTable,
    Options,
    Problems,
    split_column,
    task_labels,
)
from abaw_ray.databases.reading.names import file_name
from abaw_ray.databases.reading.parsing import add_each
from abaw_ray.spaces import Split

CODE_VERSION = 3
"""Raised when the code makes other images from the same input; finished blocks are then made anew."""

PIXEL_COLUMNS = ["video", "frame", "image", "geometry"]
"""Of a label table: all that a face is made from."""

LEAK = "validation_label_of_a_video_that_trains_another_task"
NUM_THREADS = 16  # file sizes: waiting for a file server, not computing
LAST_TWO_PARTS = r"^/.*/([^/]+/[^/]+)$"


@dataclass(frozen=True)
class Source:
    """A database that was read."""

    database: Database
    root: Path
    options: Options
    table: LabelTable

    @property
    def crop(self) -> str:
        """Name of the crop that makes its faces."""
        return self.table.crop or self.database.crop


@dataclass(frozen=True)
class PlannedBlock:
    """Rows `start` to `stop` of a plan; `path` is below the store's folder of blocks."""

    path: str
    start: int
    stop: int
    hash: str = ""


@dataclass(frozen=True)
class DatabasePlan:
    """A database's rows in the order of the store, and its blocks in that order.

    Args:
        source: the database.
        rows: its label table. A row that has no label any more stays: blocks do not depend on labels.
        unseen: its labelled frames without an image.
        blocks: consecutive parts of `rows`.
        num_leaking_videos: videos with train labels of one task and validation labels of another.
        problems: what reading and planning left out.
    """

    source: Source
    rows: pa.Table
    unseen: pa.Table
    blocks: list[PlannedBlock]
    num_leaking_videos: int
    problems: Problems


def plan_database(source: Source, config: PrepareConfig) -> DatabasePlan:
    """Plans the blocks of one database.

    A block holds rows of one video for sequential databases, else of whole photos, up to `config.block_rows`. Only a
    photo with more faces than that makes a larger block.
    """
    problems = Problems()
    problems.merge(source.table.problems)
    rows, unseen = source.table.rows.combine_chunks(), source.table.unseen.combine_chunks()
    _check_videos(source)
    tasks = [space.name for space in source.table.spaces]
    trainers = _trainers(rows, tasks)
    num_leaking_videos = _num_leaking_videos([rows, unseen], trainers)
    if config.exclude_leaking_videos:
        rows, _ = _without_leaks(rows, trainers, problems)
        unseen, labelled = _without_leaks(unseen, trainers, problems, ", frames without an image")
        unseen = unseen.filter(pa.array(labelled)).combine_chunks()
    blocks = _blocks(source.database, rows, _video_starts(rows), config.block_rows)
    return DatabasePlan(source, rows, unseen, _hashed(source, rows, blocks, config), num_leaking_videos, problems)


def _check_videos(source: Source) -> None:
    """That a sequential database names its videos, once each, and that the numbers of their frames fit."""
    table, videos = source.table, source.table.videos
    if not source.database.sequential:
        assert table.unseen.num_rows == videos.num_rows == 0, "photos are not videos"
        return
    assert pc.count_distinct(videos["video"]).as_py() == videos.num_rows, "a video is named once"
    for frames in (table.rows, table.unseen):
        places = pc.index_in(frames["video"], value_set=videos["video"].combine_chunks())
        assert places.null_count == 0, "every frame is of a video of the table of videos"
        lengths = videos["num_frames"].take(places).to_numpy()
        assert (frames["frame"].to_numpy() < lengths).all(), "a video is longer than its last frame's number"


def _video_starts(rows: pa.Table) -> np.ndarray:
    """First row of each video (videos,). Rows of a video must be together, in the order of frames."""
    if rows.num_rows == 0:
        return np.empty(0, np.int64)
    codes = pc.dictionary_encode(rows["video"].combine_chunks()).indices.to_numpy()
    is_first = np.diff(codes, prepend=-1) != 0
    assert is_first.sum() == codes.max() + 1, "rows of a video are together"
    assert (np.diff(rows["frame"].to_numpy()) > 0)[~is_first[1:]].all(), "frames ascend in a video"
    return np.flatnonzero(is_first)


def _any_by_video(rows: pa.Table, starts: np.ndarray, task: str, split: Split) -> np.ndarray:
    """Whether each video (videos,) has a label of `task` that belongs to `split`."""
    if len(starts) == 0:
        return np.empty(0, bool)
    return np.logical_or.reduceat(rows[split_column(task)].to_numpy() == split, starts)


def _trainers(rows: pa.Table, tasks: Sequence[str]) -> dict[str, pa.Array]:
    """Task -> names of the videos that train another task."""
    starts = _video_starts(rows)
    names = rows["video"].combine_chunks().take(pa.array(starts))
    train = {task: _any_by_video(rows, starts, task, Split.TRAIN) for task in tasks}
    none = np.zeros(len(starts), bool)
    others = {task: np.logical_or.reduce([none, *(train[o] for o in tasks if o != task)]) for task in tasks}
    return {task: names.filter(pa.array(trains)) for task, trains in others.items()}


def _leaking(table: pa.Table, task: str, trainers: Mapping[str, pa.Array]) -> np.ndarray:
    """Which rows (rows,) of a table validate a task in a video that trains another one."""
    trains = pc.is_in(table["video"], value_set=trainers[task]).to_numpy()
    return trains & (table[split_column(task)].to_numpy() == Split.VALIDATION)


def _num_leaking_videos(tables: Sequence[pa.Table], trainers: Mapping[str, pa.Array]) -> int:
    names = [t["video"].filter(pa.array(_leaking(t, task, trainers))) for t in tables for task in trainers]
    return len(pa.chunked_array([chunk for name in names for chunk in name.chunks], pa.string()).unique())


def _without_leaks(
    rows: pa.Table, trainers: Mapping[str, pa.Array], problems: Problems, which: str = ""
) -> tuple[pa.Table, np.ndarray]:
    """`rows` without the leaking validation labels, and which of them (rows,) have a label left.

    Args:
        rows: of faces, or of frames without one.
        trainers: see `_trainers`.
        problems: takes up what goes.
        which: rows these are, for people.
    """
    labelled = np.zeros(rows.num_rows, bool)
    for task in trainers:
        vectors, splits = task_labels(rows, task)
        leaking = _leaking(rows, task, trainers)
        videos = pc.unique(rows["video"].filter(pa.array(leaking))).to_pylist()
        add_each(problems, LEAK, videos, lambda video, task=task: f"{video}: {task}{which}")  # type: ignore[misc]
        problems.add(LEAK, count=int(leaking.sum()) - len(videos))
        splits = np.where(leaking, np.int8(Split.NONE), splits)
        flat = np.where(leaking[:, None], np.float32(0), vectors).reshape(-1)
        labelled |= splits != Split.NONE
        vectors_column = pa.FixedSizeListArray.from_arrays(pa.array(flat), vectors.shape[1])
        rows = rows.set_column(rows.schema.get_field_index(task), task, vectors_column)
        name = split_column(task)
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(splits))
    return rows.combine_chunks(), labelled


def _blocks(database: Database, rows: pa.Table, starts: np.ndarray, block_rows: int) -> list[PlannedBlock]:
    """Consecutive blocks: each video's rows for sequential databases, else whole photos."""
    stops = np.append(starts[1:], rows.num_rows) if len(starts) else starts
    if not database.sequential:
        return _named(database.name, database.name, _photo_cuts(stops, block_rows))
    names = rows["video"].take(pa.array(starts)).to_pylist()
    return [
        block
        for name, start, stop in zip(names, starts.tolist(), stops.tolist(), strict=True)
        for block in _named(database.name, name, [*range(start, stop, block_rows), stop])
    ]


def _photo_cuts(stops: np.ndarray, block_rows: int) -> list[int]:
    """Where blocks begin, and the last one ends, from the rows after the last of each photo (photos,)."""
    cuts = [0]
    while len(stops) and cuts[-1] < stops[-1]:
        # the last photo that ends within the block, at least one
        fitting = np.searchsorted(stops, cuts[-1] + block_rows, side="right")
        one = np.searchsorted(stops, cuts[-1], side="right") + 1
        cuts.append(int(stops[max(fitting, one) - 1]))
    return cuts


def _named(database: str, name: str, cuts: list[int]) -> list[PlannedBlock]:
    file = quote(name, safe=" ()[],;=@!~")
    return [
        PlannedBlock(f"{FACE}/{database}/{file}-{number:05d}.arrow", start, stop)
        for number, (start, stop) in enumerate(pairwise(cuts))
    ]


def _hashed(source: Source, rows: pa.Table, blocks: list[PlannedBlock], config: PrepareConfig) -> list[PlannedBlock]:
    """`blocks` with their hashes. Sizes of the image files are in them, absolute paths are not."""
    settings = [CODE_VERSION, source.database.name, source.crop, config.image_size]
    settings += [config.encoding, config.jpeg_quality if config.encoding == "jpeg" else None]
    settings += [config.smallest_face, config.keep_damaged]
    root = str(source.root)

    def hashed(block: PlannedBlock) -> PlannedBlock:
        part = rows.slice(block.start, block.stop - block.start)
        images = part["image"].to_pylist()
        sizes = pa.array([_file_size(root, image) for image in images], pa.int64())
        table = (
            part.select(["video", "frame", "geometry"])
            .append_column("image", portable(part["image"]))
            .append_column("bytes", sizes)
        )
        digest = hashlib.sha256(json.dumps([*settings, block.path]).encode())
        digest.update(_bytes(table))
        return PlannedBlock(block.path, block.start, block.stop, digest.hexdigest())

    with ThreadPoolExecutor(NUM_THREADS) as threads:
        return list(threads.map(hashed, blocks))


def portable(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """Image paths without what differs from machine to machine: of an absolute path, its last two parts."""
    return pc.replace_substring_regex(paths, LAST_TWO_PARTS, r"\1")


def _file_size(root: str, image: str) -> int:
    try:
        return os.stat(os.path.join(root, file_name(image))).st_size  # noqa: PTH116, PTH118 (pathlib is slow over millions)
    except OSError:
        return -1


def _bytes(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(compact(table))
    return sink.getvalue()
