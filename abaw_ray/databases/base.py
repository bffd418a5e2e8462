"""What every database adapter gives: rows of labels, and an account of everything left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from abaw_ray.databases.reading.names import printable, stored_name
from abaw_ray.errors import shortened
from abaw_ray.spaces import LabelSpace, Split

MAX_EXAMPLES = 20
LONGEST_EXAMPLE = 500
ROWS_PER_CHUNK = 65_536  # Python objects held at a time while millions of rows are read


def split_column(task: str) -> str:
    """Name of the column with the `Split` of a task's label."""
    return f"{task}_split"


def label_fields(spaces: Sequence[LabelSpace]) -> list[pa.Field]:
    """Label vector and split in every space: zeros and NONE where there is no label, NaN where it is not published."""
    fields = []
    for space in spaces:
        fields += [pa.field(space.name, pa.list_(pa.float32(), space.size))]
        fields += [pa.field(split_column(space.name), pa.int8())]
    return fields


def row_schema(spaces: Sequence[LabelSpace]) -> pa.Schema:
    """Schema of a label table: one row a face, with its labels in `spaces`.

    `video` groups rows that must stay together (a video track, or a photo); `frame` orders them in it.
    `image` is relative to the database's root: an image, or the video that `frame` is a frame of; names are those of
    `names.stored_name`. `geometry` is what
    the database's crop needs: empty, a box (left, top, right, bottom) or 68 landmarks (x0, y0, x1, y1, ...), in pixels
    of the image.
    """
    fields = [
        pa.field("video", pa.string()),
        pa.field("frame", pa.int32()),
        pa.field("image", pa.string()),
        pa.field("geometry", pa.list_(pa.float32())),
    ]
    return pa.schema([*fields, *label_fields(spaces)])


def unseen_schema(spaces: Sequence[LabelSpace]) -> pa.Schema:
    """Schema of the labelled frames that have no image: evaluation counts them all the same."""
    return pa.schema([pa.field("video", pa.string()), pa.field("frame", pa.int32()), *label_fields(spaces)])


def videos_schema() -> pa.Schema:
    """Schema of a database's videos; `num_frames` is more than the number of any frame of the video."""
    return pa.schema([pa.field("video", pa.string()), pa.field("num_frames", pa.int32())])


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
    """

    spaces: tuple[LabelSpace, ...]
    rows: pa.Table
    problems: Problems
    unseen: pa.Table = None
    videos: pa.Table = None
    crop: str | None = None

    def __post_init__(self) -> None:
        if self.unseen is None:
            self.unseen = unseen_schema(self.spaces).empty_table()
        if self.videos is None:
            self.videos = videos_schema().empty_table()


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
    """

    name: str
    title: str
    obtain: str
    options: type[Options]
    read: Callable[[Path, Any], LabelTable]
    crop: str
    sets: Callable[[Any], tuple[SetMember, ...]]
    sequential: bool = False


Labels = Mapping[str, tuple[Iterable[float], Split]]
"""Space -> label vector and split of one frame. In spaces not named it has no label."""


class RowBuilder:
    """Collects faces, and labelled frames without one, and gives their tables, sorted by (video, frame).

    Args:
        spaces: of their labels.
    """

    def __init__(self, spaces: Sequence[LabelSpace]) -> None:
        self._spaces = tuple(spaces)
        self._rows, self._unseen = _Columns(row_schema(spaces)), _Columns(unseen_schema(spaces))

    def add(self, video: str, frame: int, image: str, labels: Labels, geometry: Iterable[float] = ()) -> None:
        """Adds one face."""
        self._rows.add([stored_name(video), frame, stored_name(image), list(geometry), *self._values(labels)])

    def add_unseen(self, video: str, frame: int, labels: Labels) -> None:
        """Adds one labelled frame without an image."""
        self._unseen.add([stored_name(video), frame, *self._values(labels)])

    def table(self) -> pa.Table:
        """The faces, of `row_schema`."""
        return self._rows.table()

    def unseen(self) -> pa.Table:
        """The frames without an image, of `unseen_schema`."""
        return self._unseen.table()

    def _values(self, labels: Labels) -> list[Any]:
        """The values of `label_fields` of one frame."""
        assert labels.keys() <= {space.name for space in self._spaces}, "labels are of the spaces that were named"
        values: list[Any] = []
        for space in self._spaces:
            vector, split = labels.get(space.name, ([0.0] * space.size, Split.NONE))
            values += [list(vector), int(split)]
        return values


class _Columns:
    """Collects the rows of a table column by column."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._chunks: list[pa.Table] = []
        self._values: list[list[Any]] = [[] for _ in schema]

    def add(self, row: Iterable[Any]) -> None:
        for values, value in zip(self._values, row, strict=True):
            values.append(value)
        if len(self._values[0]) == ROWS_PER_CHUNK:
            self._flush()

    def table(self) -> pa.Table:
        self._flush()
        return pa.concat_tables(self._chunks).sort_by([("video", "ascending"), ("frame", "ascending")])

    def _flush(self) -> None:
        arrays = [pa.array(values, f.type) for values, f in zip(self._values, self._schema, strict=True)]
        self._chunks.append(pa.table(arrays, schema=self._schema))
        self._values = [[] for _ in self._schema]


def in_spaces(table: pa.Table, own: Sequence[LabelSpace], spaces: Sequence[LabelSpace]) -> pa.Table:
    """Videos and frames of a database's rows or unseen frames, with their labels in the spaces of a whole store.

    Args:
        table: with labels in `own`.
        own: the database's spaces.
        spaces: the store's. In one that the database does not have there is no label; where the store's has names that
            the database's does not have, a label's number is NaN.
    """
    by_name = {space.name: space for space in own}
    columns = {name: table[name] for name in ("video", "frame")}
    for space in spaces:
        vectors = np.zeros((table.num_rows, space.size), np.float32)
        splits = np.full(table.num_rows, int(Split.NONE), np.int8)
        if space.name in by_name:
            of_own, splits = task_labels(table, space.name)
            vectors[splits != Split.NONE] = np.nan
            vectors[:, space.places(by_name[space.name].names)] = of_own
        columns[space.name] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), space.size)
        columns[split_column(space.name)] = pa.array(splits)
    return pa.table(columns)


def task_labels(rows: pa.Table, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Label vectors (rows, size) float32 and splits (rows,) int8 in one space."""
    column = rows[task].combine_chunks()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)
    return vectors, rows[split_column(task)].to_numpy()


def is_published(vectors: np.ndarray) -> np.ndarray:
    """Which label vectors (rows, size) are known, (rows,): a test set's are NaN where they are not published."""
    return ~np.isnan(vectors).all(axis=1)
