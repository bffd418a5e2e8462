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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.blocks.files import compact, part_of_name
from abaw_ray.config import PrepareConfig
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, SetMember
from abaw_ray.databases.reading.names import file_name, portable
from abaw_ray.databases.reading.parsing import add_each
from abaw_ray.databases.schemas import label_column, label_keys, source_columns, split_column
from abaw_ray.preprocess.paths import require_paths_below
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.streams import kind_of
from abaw_ray.streams.base import FACE, Stream

CODE_VERSION = 4
"""Raised when the code makes other images from the same input; finished blocks are then made anew."""

SAMPLE_COLUMNS = ["video", "frame", "image", "geometry"]
"""All that a sample of a stream is made from: `image` is the path of its file."""

LEAK = "validation_label_of_a_video_that_trains_another_task"
NUM_THREADS = 16  # file sizes: waiting for a file server, not computing


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

    def face(self, config: PrepareConfig) -> Stream:
        """The stream of its faces."""
        return Stream(name=FACE, kind="image", size=config.image_size, encoding=config.encoding, crop=self.crop)

    @property
    def sequential(self) -> bool:
        """Whether its rows are video frames."""
        return self.database.sequential if self.table.sequential is None else self.table.sequential

    @property
    def sets(self) -> tuple[SetMember, ...]:
        """The training sets that it takes part in."""
        return self.database.sets(self.options) if self.table.sets is None else self.table.sets


@dataclass(frozen=True)
class PlannedBlock:
    """Rows `start` to `stop` of a plan; `path` is below the store's folder of blocks."""

    path: str
    start: int
    stop: int
    hash: str = ""


@dataclass(frozen=True)
class StreamPlan:
    """The samples of a stream that a database has.

    Args:
        stream: what they are.
        rows: (samples, SAMPLE_COLUMNS) in the order of the plan's.
        places: (samples,) row of the plan that each is of, ascending.
        blocks: consecutive parts of `rows`; of faces a block may have none.
    """

    stream: Stream
    rows: pa.Table
    places: np.ndarray
    blocks: list[PlannedBlock]


@dataclass(frozen=True)
class DatabasePlan:
    """A database's rows in the order of the store, and its blocks in that order.

    Args:
        source: the database.
        rows: its label table. A row that has no label any more stays: blocks do not depend on labels.
        unseen: its labelled frames without an image.
        clips: labels of its videos, or of photos.
        spaces: its label spaces; open ones with the names that occur in those tables.
        face: the faces of those rows that have one.
        block_of: (rows,) which of the blocks of faces each row is in, or would be if it had a face, ascending.
        streams: what rows have beside them.
        num_leaking_videos: videos with train labels of one task and validation labels of another.
        problems: what reading and planning left out.
    """

    source: Source
    rows: pa.Table
    unseen: pa.Table
    clips: pa.Table
    spaces: tuple[LabelSpace, ...]
    face: StreamPlan
    block_of: np.ndarray
    streams: list[StreamPlan]
    num_leaking_videos: int
    problems: Problems


def plan_database(source: Source, config: PrepareConfig) -> DatabasePlan:
    """Plans the blocks of one database.

    A block holds rows of one video for sequential databases, else of whole photos, up to `config.block_rows`. Only a
    photo with more faces than that makes a larger block.

    Raises:
        DatabaseFormatError: files of rows lie outside of the database.
    """
    require_paths_below(source.root, source.options, source.table.rows, source.table.streams)
    problems = Problems()
    problems.merge(source.table.problems)
    table = source.table
    rows, unseen, clips = (part.combine_chunks() for part in (table.rows, table.unseen, table.clips))
    _check_videos(source)
    trainers = _trainers([rows, clips], [space.name for space in table.spaces])
    num_leaking_videos = _num_leaking_videos([rows, unseen, clips], trainers)
    if config.exclude_leaking_videos:
        rows, _ = _without_leaks(rows, trainers, problems)
        unseen, labelled = _without_leaks(unseen, trainers, problems, ", frames without an image")
        unseen = unseen.filter(pa.array(labelled)).combine_chunks()
        clips, labelled = _without_leaks(clips, trainers, problems, ", labels of clips")
        clips = clips.filter(pa.array(labelled)).combine_chunks()
    spaces = tuple(_closed(space, [rows, unseen, clips]) for space in table.spaces)
    face, block_of = _faces(source, rows, config)
    streams = [_other_stream(source, stream, rows, config) for stream in table.streams]
    return DatabasePlan(source, rows, unseen, clips, spaces, face, block_of, streams, num_leaking_videos, problems)


def _faces(source: Source, rows: pa.Table, config: PrepareConfig) -> tuple[StreamPlan, np.ndarray]:
    """The plan of the faces of `rows`, and which of its blocks each row is in (rows,).

    Blocks are cut from all rows, so that they do not depend on which of them have a face.
    """
    stream, places = source.face(config), np.flatnonzero(rows["image"].is_valid().to_numpy())
    blocks = _blocks(source, FACE, rows, _video_starts(rows), config.block_rows)
    stops = np.array([block.stop for block in blocks], np.int64)
    of_faces = [
        PlannedBlock(block.path, *np.searchsorted(places, [block.start, block.stop]).tolist()) for block in blocks
    ]
    found = rows.select(SAMPLE_COLUMNS)
    if len(places) < rows.num_rows:
        found = found.take(pa.array(places)).combine_chunks()
    plan = StreamPlan(stream, found, places, _hashed(source, stream, found, of_faces, config))
    return plan, np.searchsorted(stops, np.arange(rows.num_rows), side="right")


def _other_stream(source: Source, stream: Stream, rows: pa.Table, config: PrepareConfig) -> StreamPlan:
    """The plan of a stream beside the faces of `rows`."""
    kind_of(stream)
    assert stream.name != FACE, "the stream of faces is every database's"
    path, geometry = source_columns(stream.name)
    places = np.flatnonzero(rows[path].is_valid().to_numpy())
    found = rows.select(["video", "frame", path, geometry]).rename_columns(SAMPLE_COLUMNS).take(pa.array(places))
    found = found.combine_chunks()
    planned = _blocks(source, stream.name, found, _video_starts(found), config.block_rows)
    return StreamPlan(stream, found, places, _hashed(source, stream, found, planned, config))


def _closed(space: LabelSpace, tables: Sequence[pa.Table]) -> LabelSpace:
    """`space`; if it is open, with the names of the labels in `tables`, whoever gave them."""
    if not space.open:
        return space
    columns = [table[label_column(*key)] for table in tables for key in label_keys(table) if key[0] == space.name]
    return space.with_names(name for column in columns for name in pc.unique(pc.drop_null(column)).to_pylist())


def _check_videos(source: Source) -> None:
    """That a sequential database names its videos, once each, and that the numbers of their frames fit."""
    table, videos = source.table, source.table.videos
    if not source.sequential:
        assert table.unseen.num_rows == videos.num_rows == 0, "photos are not videos"
        return
    assert pc.count_distinct(videos["video"]).as_py() == videos.num_rows, "a video is named once"
    for labels in (table.rows, table.unseen, table.clips):
        places = pc.index_in(labels["video"], value_set=videos["video"].combine_chunks())
        assert places.null_count == 0, "every label is of a video of the table of videos"
    for frames in (table.rows, table.unseen):
        places = pc.index_in(frames["video"], value_set=videos["video"].combine_chunks())
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


def _trainers(tables: Sequence[pa.Table], tasks: Sequence[str]) -> dict[str, pa.Array]:
    """Task -> names of the videos that train another task, by a label in one of `tables`."""
    train: dict[str, list[pa.ChunkedArray]] = {task: [_names([])] for task in tasks}
    for table in tables:
        for task, annotator in label_keys(table):
            trains = pc.equal(table[split_column(label_column(task, annotator))], int(Split.TRAIN))
            train[task].append(pc.unique(table["video"].filter(trains)))
    return {task: _names([names for o in tasks if o != task for names in train[o]]) for task in tasks}


def _names(parts: Sequence[pa.Array]) -> pa.Array:
    """Different names in several arrays of them."""
    return pc.unique(pa.chunked_array(parts, pa.string()))


def _leaking(table: pa.Table, column: str, trainers: pa.Array) -> np.ndarray:
    """Which rows (rows,) of a table validate, in a column of labels, a task whose `trainers` train another one."""
    trains = pc.is_in(table["video"], value_set=trainers).to_numpy()
    return trains & (table[split_column(column)].to_numpy() == Split.VALIDATION)


def _num_leaking_videos(tables: Sequence[pa.Table], trainers: Mapping[str, pa.Array]) -> int:
    names = [
        pc.unique(table["video"].filter(pa.array(_leaking(table, label_column(*key), trainers[key[0]]))))
        for table in tables
        for key in label_keys(table)
    ]
    return len(_names(names))


def _without_leaks(
    rows: pa.Table, trainers: Mapping[str, pa.Array], problems: Problems, which: str = ""
) -> tuple[pa.Table, np.ndarray]:
    """`rows` without the leaking validation labels, and which of them (rows,) have a label left.

    Args:
        rows: of faces, of frames without one, or of clips.
        trainers: see `_trainers`.
        problems: takes up what goes.
        which: rows these are, for people.
    """
    labelled = np.zeros(rows.num_rows, bool)
    for task, annotator in label_keys(rows):
        column = label_column(task, annotator)
        leaking = _leaking(rows, column, trainers[task])
        videos = pc.unique(rows["video"].filter(pa.array(leaking))).to_pylist()
        add_each(problems, LEAK, videos, lambda video, column=column: f"{video}: {column}{which}")  # type: ignore[misc]
        problems.add(LEAK, count=int(leaking.sum()) - len(videos))
        rows = without_labels(rows, column, leaking)
        labelled |= rows[split_column(column)].to_numpy() != Split.NONE
    return rows.combine_chunks(), labelled


def without_labels(rows: pa.Table, column: str, where: np.ndarray) -> pa.Table:
    """`rows` without the labels of a column `where` (rows,) is true."""
    name = split_column(column)
    splits = np.where(where, np.int8(Split.NONE), rows[name].to_numpy())
    rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(splits))
    return rows.set_column(rows.schema.get_field_index(column), column, _cleared(rows[column], where))


def _cleared(labels: pa.ChunkedArray, where: np.ndarray) -> pa.Array:
    """A column of labels, without those `where` (rows,) is true."""
    column = labels.combine_chunks()
    if pa.types.is_string(column.type):
        return pc.if_else(pa.array(where), pa.scalar(None, pa.string()), column)
    size = column.type.list_size
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, size)
    flat = np.where(where[:, None], np.float32(0), vectors).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), size)


def _blocks(source: Source, stream: str, rows: pa.Table, starts: np.ndarray, block_rows: int) -> list[PlannedBlock]:
    """Consecutive blocks: each video's rows for sequential databases, else whole photos."""
    stops = np.append(starts[1:], rows.num_rows) if len(starts) else starts
    database = source.database.name
    if not source.sequential:
        return _named(f"{stream}/{database}", database, _photo_cuts(stops, block_rows))
    names = rows["video"].take(pa.array(starts)).to_pylist()
    return [
        block
        for name, start, stop in zip(names, starts.tolist(), stops.tolist(), strict=True)
        for block in _named(f"{stream}/{database}", name, [*range(start, stop, block_rows), stop])
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


def _named(folder: str, name: str, cuts: list[int]) -> list[PlannedBlock]:
    file = part_of_name(name, " ()[],;=@!~", len("-00000.arrow"))
    return [
        PlannedBlock(f"{folder}/{file}-{number:05d}.arrow", start, stop)
        for number, (start, stop) in enumerate(pairwise(cuts))
    ]


def _hashed(
    source: Source, stream: Stream, rows: pa.Table, blocks: list[PlannedBlock], config: PrepareConfig
) -> list[PlannedBlock]:
    """`blocks` with their hashes. Sizes of the files are in them, absolute paths are not."""
    settings = [CODE_VERSION, source.database.name, stream.kind, stream.crop, stream.size]
    settings += [stream.encoding, config.jpeg_quality if stream.encoding == "jpeg" else None]
    settings += [config.smallest_face if stream.name == FACE else None, config.keep_damaged]
    if config.reduced_decoding and stream.kind == "image":  # else the hash is that of stores from before it
        settings.append("reduced_decoding")
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
