"""Columns of the tables of labels: their names, their order, and what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from abaw_ray.spaces import LabelSpace, Level
from abaw_ray.streams.base import Stream

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


def task_labels(rows: pa.Table, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Label vectors (rows, size) float32 and splits (rows,) int8 of a column of vectors."""
    labels = rows[column].combine_chunks()
    vectors = labels.flatten().to_numpy(zero_copy_only=False).reshape(-1, labels.type.list_size)
    return vectors, rows[split_column(column)].to_numpy()


def is_published(vectors: np.ndarray) -> np.ndarray:
    """Which label vectors (rows, size) are known, (rows,): a test set's are NaN where they are not published."""
    return ~np.isnan(vectors).all(axis=1)
