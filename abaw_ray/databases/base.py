"""What every database adapter gives: rows of labels, and an account of everything left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from abaw_ray.databases.reading.names import printable, stored_name
from abaw_ray.errors import shortened
from abaw_ray.spaces import LabelSpace, Level, Split
from abaw_ray.streams.base import Source, Stream

MAX_EXAMPLES = 20
LONGEST_EXAMPLE = 500
ROWS_PER_CHUNK = 65_536  # Python objects held at a time while millions of rows are read


LabelKey = tuple[str, str]
"""Space, and annotator: whose labels they are; empty for those that a database has one set of."""


SUBJECT = "subject_name"
"""Column of a label table; there may be a space called `subject`."""


def label_column(space: str, annotator: str = "") -> str:
    """Name of the column with the labels of an annotator in a space."""
    return f"{space}@{annotator}" if annotator else space


def split_column(column: str) -> str:
    """Name of the column with the `Split` of each label of `column`."""
    return f"{column}_split"


def label_keys(table: pa.Table) -> list[LabelKey]:
    """Spaces and annotators that a table has columns of labels for, in their order."""
    columns = set(table.column_names)
    named = [name.partition("@") for name in table.column_names if split_column(name) in columns]
    return [(space, annotator) for space, _, annotator in named]


def label_fields(spaces: Sequence[LabelSpace], others: Iterable[LabelKey] = ()) -> list[pa.Field]:
    """Label and split in every space, and in those of `others` by annotator.

    A label is a vector: zeros where there is none (its split is NONE), NaN where it is not published. In an open space
    it is a name, or null.
    """
    by_name = {space.name: space for space in spaces}
    fields = []
    for name, annotator in [*((name, "") for name in by_name), *sorted(others)]:
        space, column = by_name[name], label_column(name, annotator)
        fields += [pa.field(column, pa.string() if space.open else pa.list_(pa.float32(), space.size))]
        fields += [pa.field(split_column(column), pa.int8())]
    return fields


def source_columns(stream: str) -> tuple[str, str]:
    """Names of the columns that say where the samples of a stream come from: path (null: none) and geometry."""
    return f"{stream}:path", f"{stream}:geometry"


def row_schema(
    spaces: Sequence[LabelSpace], others: Iterable[LabelKey] = (), streams: Iterable[Stream] = ()
) -> pa.Schema:
    """Schema of a label table: one row a face, or a sample of other streams without one, with its labels in those of
    `spaces` that are of frames.

    `video` groups rows that must stay together (a video track, or a photo); `frame` orders them in it.
    `image` is relative to the database's root: an image, the video that `frame` is a frame of, or the table of pictures
    (`reading.pixel_table`) that `frame` is a line of; null: there is no face. Names are those of `names.stored_name`.
    `geometry` is what the database's crop needs: empty, a box (left, top, right, bottom) or 68 landmarks (x0, y0, x1,
    y1, ...), in pixels of the image. `subject_name` is who the face is of; null: the database does not say. Every
    stream has two columns more, of `source_columns`.
    """
    fields = [
        pa.field("video", pa.string()),
        pa.field("frame", pa.int32()),
        pa.field("image", pa.string()),
        pa.field("geometry", pa.list_(pa.float32())),
        pa.field(SUBJECT, pa.string()),
    ]
    for stream in streams:
        path, geometry = source_columns(stream.name)
        fields += [pa.field(path, pa.string()), pa.field(geometry, pa.list_(pa.float32()))]
    return pa.schema([*fields, *label_fields(of_level(spaces, "frame"), others)])


def unseen_schema(spaces: Sequence[LabelSpace], others: Iterable[LabelKey] = ()) -> pa.Schema:
    """Schema of the labelled frames that have no image: evaluation counts them all the same."""
    fields = [pa.field("video", pa.string()), pa.field("frame", pa.int32())]
    return pa.schema([*fields, *label_fields(of_level(spaces, "frame"), others)])


def clips_schema(spaces: Sequence[LabelSpace], others: Iterable[LabelKey] = ()) -> pa.Schema:
    """Schema of the labels of whole videos, or of photos, in those of `spaces` that are of clips."""
    return pa.schema([pa.field("video", pa.string()), *label_fields(of_level(spaces, "clip"), others)])


def videos_schema() -> pa.Schema:
    """Schema of a database's videos; `num_frames` is more than the number of any frame of the video."""
    return pa.schema([pa.field("video", pa.string()), pa.field("num_frames", pa.int32())])


def of_level(spaces: Iterable[LabelSpace], level: Level) -> list[LabelSpace]:
    """Those whose labels are of frames, or of clips."""
    return [space for space in spaces if space.level == level]


@dataclass
class Problems:
    """Counts, by reason, of everything that was left out or looked wrong, with the first few places."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, where: str = "", count: int = 1) -> None:
        """Counts `count` cases of `reason`; `where` says file, line and what was found."""
        if count == 0:
            return
        self.counts[reason] += count
        places = self.examples.setdefault(reason, [])
        if where and len(places) < MAX_EXAMPLES:
            places.append(shortened(printable(where), LONGEST_EXAMPLE))

    def merge(self, other: Problems) -> None:
        self.counts.update(other.counts)
        for reason, places in other.examples.items():
            mine = self.examples.setdefault(reason, [])
            mine.extend(places[: MAX_EXAMPLES - len(mine)])

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Problems:
        """The inverse of `to_dict`."""
        counts = Counter({reason: entry["count"] for reason, entry in values.items()})
        return Problems(counts, {reason: list(entry["examples"]) for reason, entry in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Reason -> `count` and `examples`, sorted by reason."""
        return {r: {"count": self.counts[r], "examples": self.examples.get(r, [])} for r in sorted(self.counts)}


@dataclass
class LabelTable:
    """What an adapter reads, and what it left out.

    Args:
        spaces: of the labels.
        rows: of `row_schema`, sorted by video and frame.
        problems: what was left out or looked wrong.
        unseen: of `unseen_schema`, sorted by video and frame; None: there is none, as of photos.
        videos: of `videos_schema`, sorted by video: all that have a row or an unseen frame; None: photos.
        crop: name of the crop that the rows' geometry is for; None: the database's.
        clips: of `clips_schema`, sorted by video: those of `videos`, or photos with a row, that are labelled whole;
            None: none is.
        streams: that rows have beside their faces.
        sequential: whether the rows are video frames; None: as the database says.
        sets: the training sets that the rows take part in; None: the database's.
    """

    spaces: tuple[LabelSpace, ...]
    rows: pa.Table
    problems: Problems
    unseen: pa.Table = None
    videos: pa.Table = None
    crop: str | None = None
    clips: pa.Table = None
    streams: tuple[Stream, ...] = ()
    sequential: bool | None = None
    sets: tuple[SetMember, ...] | None = None

    def __post_init__(self) -> None:
        if self.unseen is None:
            self.unseen = unseen_schema(self.spaces).empty_table()
        if self.videos is None:
            self.videos = videos_schema().empty_table()
        if self.clips is None:
            self.clips = clips_schema(self.spaces).empty_table()


@dataclass(frozen=True)
class SetMember:
    """A database's part in a training set: its rows with a train label of every task in `tasks`, thinned.

    Args:
        set: name of the training set, as `mixed_expr`.
        tasks: the tasks whose labels the set is made for.
        every_by_class: keep every k-th position of these classes of the first task, one pass a class, in order.
        every: then keep every k-th row.
    """

    set: str
    tasks: tuple[str, ...]
    every_by_class: Mapping[str, int] = field(default_factory=dict)
    every: int = 1


class Options(BaseModel):
    """Options of an adapter; each adapter may add its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Database:
    """One database: how to read it and what it is used for.

    Args:
        name: as typed on the command line.
        title: one line for people.
        obtain: where a researcher gets it.
        options: the adapter's options.
        read: reads the native label files under a root. Raises DatabaseFormatError on a wrong format.
        crop: name of the crop (see `abaw_ray.preprocess.crops`) that turns image and geometry into a face.
        sets: the training sets it takes part in.
        sequential: its rows are video frames (windows over time make sense).
        layout: the expected tree of files, for people.
        terms: on what terms it may be used, in short, as its makers publish them.
    """

    name: str
    title: str
    obtain: str
    options: type[Options]
    read: Callable[[Path, Any], LabelTable]
    crop: str
    sets: Callable[[Any], tuple[SetMember, ...]]
    sequential: bool = False
    layout: str = ""
    terms: str = "not known"


Label = tuple[Iterable[float] | str | None, Split]
"""A label vector and its split; in an open space a name, or None where it is not published."""

Labels = Mapping[str, Label] | Mapping[LabelKey, Label] | Mapping[str | LabelKey, Label]
"""Space, or space and annotator -> label of one frame or clip. In spaces not named it has no label."""


class RowBuilder:
    """Collects faces, labelled frames without one and labels of clips; gives their tables, sorted by video and frame.

    Args:
        spaces: of their labels.
        streams: that faces may have beside them.
    """

    def __init__(self, spaces: Sequence[LabelSpace], streams: Sequence[Stream] = ()) -> None:
        self._streams = [stream.name for stream in streams]
        self._rows = _Columns(spaces, partial(row_schema, streams=streams))
        self._unseen = _Columns(spaces, unseen_schema)
        self._spaces = tuple(spaces)
        self._clips: dict[str, dict[LabelKey, Label]] = {}

    def add(
        self,
        video: str,
        frame: int,
        image: str | None,
        labels: Labels,
        geometry: Iterable[float] = (),
        subject: str | None = None,
        sources: Mapping[str, Source] | None = None,
    ) -> None:
        """Adds one face, of a person called `subject`, with the samples of streams that there are beside it.

        Without an `image` the row has no face, and samples of other streams alone.
        """
        who = None if subject is None else stored_name(subject)
        face = None if image is None else stored_name(image)
        row: list[Any] = [stored_name(video), frame, face, list(geometry), who]
        given = sources or {}
        assert given.keys() <= set(self._streams), "sources are of the streams that were named"
        for name in self._streams:
            source = given.get(name)
            row += [None, None] if source is None else [stored_name(source.path), list(source.geometry)]
        self._rows.add(row, _by_key(labels))

    def add_unseen(self, video: str, frame: int, labels: Labels) -> None:
        """Adds one labelled frame without an image."""
        self._unseen.add([stored_name(video), frame], _by_key(labels))

    def label_clip(self, video: str, labels: Labels) -> None:
        """Adds labels of a whole video, or of a photo."""
        known, more = self._clips.setdefault(stored_name(video), {}), _by_key(labels)
        assert not known.keys() & more.keys(), "a clip has one label in a space by an annotator"
        known.update(more)

    def table(self) -> pa.Table:
        """The faces, of `row_schema`."""
        return self._rows.table([("video", "ascending"), ("frame", "ascending")])

    def unseen(self) -> pa.Table:
        """The frames without an image, of `unseen_schema`."""
        return self._unseen.table([("video", "ascending"), ("frame", "ascending")])

    def clips(self) -> pa.Table:
        """The labels of clips, of `clips_schema`."""
        columns = _Columns(self._spaces, clips_schema)
        for video, labels in self._clips.items():
            columns.add([video], labels)
        return columns.table([("video", "ascending")])


def _by_key(labels: Labels) -> dict[LabelKey, Label]:
    return {(key, "") if isinstance(key, str) else key: label for key, label in labels.items()}


class _Columns:
    """Collects the rows of a table: values column by column, labels by space and annotator.

    Args:
        spaces: of the labels.
        schema: makes the table's from them and from the annotators that have a name.
    """

    def __init__(
        self, spaces: Sequence[LabelSpace], schema: Callable[[Sequence[LabelSpace], Iterable[LabelKey]], pa.Schema]
    ) -> None:
        self._spaces, self._schema_of = spaces, schema
        self._known = {space for space, _ in label_keys(schema(spaces, ()).empty_table())}
        self._annotators: set[LabelKey] = set()
        self._chunks: list[pa.Table] = []
        self._begin()

    def _begin(self) -> None:
        schema = self._schema_of([], ())  # without labels
        self._values: list[list[Any]] = [[] for _ in schema]
        self._labels: dict[LabelKey, list[tuple[int, Iterable[float] | str | None, Split]]] = {}

    def add(self, row: Iterable[Any], labels: Mapping[LabelKey, Label]) -> None:
        place = len(self._values[0])
        for values, value in zip(self._values, row, strict=True):
            values.append(value)
        for key, (value, split) in labels.items():
            assert key[0] in self._known, "labels are of the spaces that were named, and of their level"
            self._labels.setdefault(key, []).append((place, value, split))
        if place + 1 == ROWS_PER_CHUNK:
            self._flush()

    def table(self, order: list[tuple[str, str]]) -> pa.Table:
        self._flush()
        schema = self._schema_of(self._spaces, self._annotators)
        chunks = []
        for chunk in self._chunks:
            named = set(chunk.column_names)
            columns = [chunk[f.name] if f.name in named else _no_labels(f.type, chunk.num_rows) for f in schema]
            chunks.append(pa.table(columns, schema=schema))
        return pa.concat_tables(chunks).sort_by(order)

    def _flush(self) -> None:
        self._annotators |= {key for key in self._labels if key[1]}
        schema, num_rows = self._schema_of(self._spaces, self._annotators), len(self._values[0])
        arrays = [pa.array(values, f.type) for values, f in zip(self._values, schema, strict=False)]
        for key in label_keys(schema.empty_table()):
            kind = schema.field(label_column(*key)).type
            arrays += _label_arrays(kind, num_rows, self._labels.get(key, []))
        self._chunks.append(pa.table(arrays, schema=schema))
        self._begin()


def _label_arrays(kind: pa.DataType, num_rows: int, labels: Sequence[tuple[int, Any, Split]]) -> tuple[Any, Any]:
    """A column of labels and that of their splits, from row, label and split of those that there are."""
    if not labels:
        return _no_labels(kind, num_rows), _no_labels(pa.int8(), num_rows)
    places = [place for place, _, _ in labels]
    splits = np.zeros(num_rows, np.int8)
    splits[places] = [int(split) for _, _, split in labels]
    if pa.types.is_string(kind):
        names = np.full(num_rows, None, object)
        names[places] = [None if name is None else stored_name(name) for _, name, _ in labels]
        return pa.array(names, kind), pa.array(splits)
    vectors = np.zeros((num_rows, kind.list_size), np.float32)
    vectors[places] = np.array([list(vector) for _, vector, _ in labels], np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), kind.list_size), pa.array(splits)


def _no_labels(kind: pa.DataType, num_rows: int) -> pa.Array:
    """A column of labels, or of splits, where there is none."""
    if pa.types.is_string(kind):
        return pa.nulls(num_rows, kind)
    if pa.types.is_int8(kind):
        return pa.array(np.zeros(num_rows, np.int8))
    return pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(num_rows * kind.list_size, np.float32)), kind.list_size)


def task_labels(rows: pa.Table, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Label vectors (rows, size) float32 and splits (rows,) int8 of a column of vectors."""
    labels = rows[column].combine_chunks()
    vectors = labels.flatten().to_numpy(zero_copy_only=False).reshape(-1, labels.type.list_size)
    return vectors, rows[split_column(column)].to_numpy()


def is_published(vectors: np.ndarray) -> np.ndarray:
    """Which label vectors (rows, size) are known, (rows,): a test set's are NaN where they are not published."""
    return ~np.isnan(vectors).all(axis=1)
