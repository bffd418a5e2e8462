"""The label table of a table's rows: rows of one face by several annotators together, columns built whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.databases.reading.table_columns import Labels
from abaw_ray.databases.reading.table_rows import TableRows
from abaw_ray.databases.schemas import (
    LabelKey,
    clips_schema,
    label_column,
    row_schema,
    split_column,
    unseen_schema,
    videos_schema,
)
from abaw_ray.spaces import LabelSpace, Level, Split


@dataclass(frozen=True)
class Faces:
    """Faces, sorted by video and frame, and the rows that label them.

    Args:
        rows: (faces,) the first row of each face.
        frames: (faces,) number of each.
        labelling: (n,) the rows, and ...
        places: (n,) the faces that they are of.
    """

    rows: np.ndarray
    frames: np.ndarray
    labelling: np.ndarray
    places: np.ndarray


def group_faces(rows: TableRows, root: Path) -> Faces:
    """The faces of the rows that are left: those of one video and frame are one, by different annotators."""
    indices, frames = rows.frames(root)
    videos = rows.videos.ranks()[rows.videos.codes[indices]]
    annotators = _annotators(rows)[indices]
    order = np.lexsort((indices, annotators, frames, videos))
    indices, frames, videos, annotators = indices[order], frames[order], videos[order], annotators[order]
    is_new = (np.diff(videos, prepend=-1) != 0) | (np.diff(frames, prepend=-1) != 0)
    is_first = is_new | (np.diff(annotators, prepend=-2) != 0)
    repeated = np.zeros(len(rows.kept), bool)
    repeated[indices[~is_first]] = True
    rows.note(repeated, "duplicate_row")
    starts = np.flatnonzero(is_new)
    places = np.cumsum(is_new) - 1
    first = indices[starts]
    _note_others(rows, indices[is_first], first[places[is_first]])
    return Faces(first, frames[starts], indices[is_first], places[is_first])


def _annotators(rows: TableRows) -> np.ndarray:
    """Number of each row's annotator (rows,); -1 for one without a name."""
    texts = rows.columns.texts.get("annotator")
    return np.full(len(rows.kept), -1, np.int32) if texts is None else texts.codes


def _note_others(rows: TableRows, labelling: np.ndarray, first: np.ndarray) -> None:
    """Counts rows (n,) of a face whose picture or geometry is not that of the face's `first` row (n,)."""
    is_later = labelling != first
    labelling, first = labelling[is_later], first[is_later]
    geometry = rows.columns.geometry
    differs = rows.paths.codes[labelling] != rows.paths.codes[first]
    differs |= (geometry[labelling] != geometry[first]).any(1)
    wrong = np.zeros(len(rows.kept), bool)
    wrong[labelling[differs]] = True
    rows.note(wrong, "other_picture_of_a_frame")


def face_tables(rows: TableRows, faces: Faces, has_image: np.ndarray) -> tuple[pa.Table, pa.Table]:
    """Tables of `row_schema` and of `unseen_schema`: the faces with an image, and those without.

    Args:
        rows: of the table.
        faces: of them.
        has_image: (rows,) bool, whether a row's picture is there.
    """
    spaces = [labels.space for labels in rows.columns.labels]
    columns = dict(_label_columns(rows, "frame", faces.labelling, faces.places, len(faces.rows)))
    others = {key for key in columns if key[1]}
    videos = rows.videos.values.take(pa.array(rows.videos.codes[faces.rows]))
    subjects = rows.columns.texts.get("subject")
    values = {
        "video": videos,
        "frame": pa.array(faces.frames, pa.int32()),
        "image": rows.columns.paths.take(pa.array(faces.rows)),
        "geometry": _lists(rows.columns.geometry[faces.rows]),
        "subject_name": pa.nulls(len(videos), pa.string())
        if subjects is None
        else subjects.values.take(_or_null(subjects.codes[faces.rows])),
    } | _named(columns)
    seen = has_image[faces.rows]
    tables = []
    for schema, is_part in ((row_schema(spaces, others), seen), (unseen_schema(spaces, others), ~seen)):
        table = pa.table([values[name] for name in schema.names], schema=schema)
        tables.append(table if is_part.all() else table.filter(pa.array(is_part)))
    return tables[0], tables[1]


def clip_table(rows: TableRows, faces: Faces) -> pa.Table:
    """The table of `clips_schema`: labels of videos that have a face.

    Raises:
        DatabaseFormatError: two rows of a video have different labels by one annotator.
    """
    spaces = [labels.space for labels in rows.columns.labels]
    has_face = np.zeros(len(rows.videos.values), bool)
    has_face[rows.videos.codes[faces.rows]] = True
    labelled = [labels.is_given for labels in rows.columns.labels if labels.space.level == "clip"]
    if not labelled:
        return clips_schema(spaces).empty_table()
    usable = np.logical_or.reduce(labelled) & has_face[rows.videos.codes] & (rows.splits != Split.NONE)
    indices = np.flatnonzero(usable)
    ranks = rows.videos.ranks()[rows.videos.codes[indices]]
    _, first, places = np.unique(ranks, return_index=True, return_inverse=True)
    columns = dict(_label_columns(rows, "clip", indices, places, len(first)))
    videos = rows.videos.values.take(pa.array(rows.videos.codes[indices[first]]))
    schema = clips_schema(spaces, {key for key in columns if key[1]})
    values = {"video": videos} | _named(columns)
    return pa.table([values[name] for name in schema.names], schema=schema)


def video_table(rows: TableRows, faces: Faces) -> pa.Table:
    """The table of `videos_schema`: a video ends with its last frame in the table."""
    if not rows.sequential:
        return videos_schema().empty_table()
    codes = rows.videos.codes[faces.rows]
    lasts = np.flatnonzero(np.diff(codes, append=-1))
    names = rows.videos.values.take(pa.array(codes[lasts]))
    return pa.table([names, pa.array(faces.frames[lasts] + 1, pa.int32())], schema=videos_schema())


Column = tuple[LabelSpace, np.ndarray, np.ndarray]
"""Space, label vectors (n, size) and `Split` values (n,) of an annotator."""


def _label_columns(
    rows: TableRows, level: Level, labelling: np.ndarray, places: np.ndarray, num: int
) -> Iterator[tuple[LabelKey, Column]]:
    """The labels of `num` faces or clips, by the rows `labelling` (n,) those at `places` (n,)."""
    annotators = _annotators(rows)[labelling]
    texts = rows.columns.texts.get("annotator")
    for labels in rows.columns.labels:
        if labels.space.level == level:
            for code in np.union1d([-1], annotators).tolist():
                chosen = (annotators == code) & labels.is_given[labelling]
                if chosen.any() or code < 0:
                    who = "" if code < 0 or texts is None else texts.values[code].as_py()
                    vectors, splits = _placed(rows, labels, labelling[chosen], places[chosen], num)
                    yield (labels.space.name, who), (labels.space, vectors, splits)


def _placed(
    rows: TableRows, labels: Labels, labelling: np.ndarray, places: np.ndarray, num: int
) -> tuple[np.ndarray, np.ndarray]:
    """Label vectors (num, size) and splits (num,) with those of the rows `labelling` (n,) at `places` (n,)."""
    vectors, splits = np.zeros((num, labels.space.size), np.float32), np.zeros(num, np.int8)
    vectors[places], splits[places] = labels.vectors[labelling], rows.splits[labelling]
    other = (splits[places] != rows.splits[labelling]) | ~_equal(vectors[places], labels.vectors[labelling])
    if other.any():  # only clips: a face has one row by an annotator
        row = int(labelling[other][0])
        video = rows.videos.values[int(rows.videos.codes[row])].as_py()
        found = f"another label or split of {video} in {labels.space.name} than in another row"
        raise rows.file.error(row, found, "one, as the label is of the whole video")
    return vectors, splits


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which vectors (n, size) are equal, (n,), numbers that are not known among them."""
    return ((a == b) | (np.isnan(a) & np.isnan(b))).all(1)


def _named(columns: dict[LabelKey, Column]) -> dict[str, pa.Array]:
    """Arrays of labels and splits by their names in a table."""
    named = {}
    for key, (space, vectors, splits) in columns.items():
        column = label_column(*key)
        named[column] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), space.size)
        named[split_column(column)] = pa.array(splits)
    return named


def _lists(vectors: np.ndarray) -> pa.Array:
    """Vectors (n, size) as lists of float32."""
    offsets = np.arange(len(vectors) + 1, dtype=np.int32) * np.int32(vectors.shape[1])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(vectors.reshape(-1), pa.float32()))


def _or_null(codes: np.ndarray) -> pa.Array:
    """Places to take, none where they are negative."""
    return pc.if_else(pa.array(codes >= 0), pa.array(codes), pa.scalar(None, pa.int32()))
