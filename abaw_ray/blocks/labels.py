"""Labels of a store: one file a space and annotator, with the rows that have one; memory-mapped, looked up by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from abaw_ray.blocks.files import damage_named, map_columns, mapped_array, part_of_name, write_table
from abaw_ray.blocks.schema import UNSEEN_LABELS, Form, label_schema
from abaw_ray.databases.schemas import LabelKey
from abaw_ray.spaces import Kind, LabelSpace, Split
from abaw_ray.storage import AnyPath

NOT_KNOWN = -1
"""Stands for NaN in files of integers: a class that is not published, an attribute that is not known."""

ONE = np.uint64(1)

SMALLEST: dict[Kind, Form] = {"multiclass": "classes", "multilabel": "attributes"}
"""Form by kind of space where no label needs more: a distribution, or a degree, is kept as the vector that it is."""


class Labels(NamedTuple):
    """Labels of some rows, or of some clips, in one space by one annotator.

    Args:
        rows: (k,) int64, ascending.
        values: (k, size) float32 label vectors, (k, size) int8 attributes, or (k,) int32 classes.
        splits: (k,) int8 `Split`.
    """

    rows: np.ndarray
    values: np.ndarray
    splits: np.ndarray


@dataclass(frozen=True)
class LabelSet:
    """All labels of a store in one space by one annotator.

    What is looked up is a row of the index (or of the frames without an image). In a space of clips a row has the label
    of its clip.

    Args:
        space: of the labels, with the names of all databases.
        labels: of rows; in a space of clips, of places in the store's videos.
        database: (n,) int8 of all rows; in a space of clips, of all videos.
        lacks: (databases, size) bool, the classes that a database does not have.
        clip: in a space of clips, (rows,) place of each row's video; -1: none.
    """

    space: LabelSpace
    labels: Labels
    database: np.ndarray
    lacks: np.ndarray
    clip: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of labels."""
        return len(self.labels.rows)

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels of `rows` (n,), in any order, repeats allowed.

        Returns:
            Vectors (n, size) float32: zeros where there is none, NaN where a number is not known (all of them, where a
            label is not published); and splits (n,) int8.
        """
        return self._look_up(rows if self.clip is None else self.clip[rows])

    def of_clips(self, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `of`, of places (n,) in the store's videos."""
        assert self.space.level == "clip", "frames have labels of their own"
        return self._look_up(clips)

    def splits_of(self, rows: np.ndarray) -> np.ndarray:
        """Splits (n,) int8 of `rows` (n,); NONE where there is no label."""
        if not len(self):
            return np.zeros(len(rows), np.int8)
        has, places = self._places(rows if self.clip is None else self.clip[rows])
        return np.where(has, self.labels.splits.take(places), np.int8(Split.NONE))

    def rows_with(self, split: Split) -> np.ndarray:
        """Rows (n,) int64, ascending, with a label that belongs to `split`."""
        found = self.labels.rows[self.labels.splits == split]
        return found if self.clip is None else np.flatnonzero(np.isin(self.clip, found))

    def clips_with(self, split: Split) -> np.ndarray:
        """Places (n,) int64 in the store's videos, ascending, of those with a label that belongs to `split`."""
        assert self.space.level == "clip", "frames have labels of their own"
        return self.labels.rows[self.labels.splits == split]

    def mask(self, split: Split) -> np.ndarray:
        """Which rows (rows,) bool have a label that belongs to `split`."""
        found = np.zeros(len(self.database if self.clip is None else self.clip), bool)
        found[self.rows_with(split)] = True
        return found

    def of_database(self, code: int) -> Labels:
        """The labels of one of the store's databases."""
        own = self.database[self.labels.rows] == code
        return Labels(*(column[own] for column in self.labels))

    @cached_property
    def _ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """A bit for each row, whether it has a label, in words of 64; and the number of labels before each word.

        A binary search among the rows that have one reads all over a large file, and takes several times as long.
        """
        bits = np.zeros((len(self.database) // 64 + 1) * 64, bool)  # the last one is that of -1, and not set
        bits[self.labels.rows] = True
        words = np.packbits(bits, bitorder="little").view(np.uint64)
        counts = np.bitwise_count(words)
        return words, np.cumsum(counts, dtype=np.int64) - counts

    def _places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of `rows` (n,) have a label, bool, and the places (n,) of those labels; of the others, any places."""
        words, before = self._ranks
        word = rows >> 6
        found, bit = words.take(word), ONE << (rows & 63).astype(np.uint64)
        place = before.take(word) + np.bitwise_count(found & (bit - ONE))
        return (found & bit) != 0, np.minimum(place, len(self.labels.rows) - 1)

    def _look_up(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not len(self):
            return np.zeros((len(rows), self.space.size), np.float32), np.zeros(len(rows), np.int8)
        has, places = self._places(rows)
        values, splits = self.labels.values.take(places, axis=0), self.labels.splits.take(places)
        vectors = to_vectors(values, self._unknown.take(self.database.take(rows), axis=0) if values.ndim == 1 else None)
        if not has.all():
            vectors[~has], splits[~has] = 0, int(Split.NONE)
        return vectors, splits

    @cached_property
    def _unknown(self) -> np.ndarray:
        return unknown_classes(self.lacks)


def unknown_classes(lacks: np.ndarray) -> np.ndarray:
    """Label vectors (..., size) float32 without a class: NaN for those that a database lacks (..., size), else 0."""
    return np.where(lacks, np.float32(np.nan), np.float32(0))


def to_vectors(values: np.ndarray, unknown: np.ndarray | None) -> np.ndarray:
    """Label vectors (n, size) float32.

    Args:
        values: as of `Labels`.
        unknown: (n, size) float32 of `unknown_classes`, which becomes the result; None: no classes.
    """
    if values.ndim == 1:
        assert unknown is not None, "vectors of classes need those that there are"
        is_published = values != NOT_KNOWN
        if is_published.all():
            unknown[np.arange(len(values)), values] = 1
        else:
            unknown[np.flatnonzero(is_published), values[is_published]] = 1
            unknown[~is_published] = np.nan
        return unknown
    if values.dtype == np.float32:
        return values
    return np.where(values == NOT_KNOWN, np.float32(np.nan), values.astype(np.float32))


def largest_class(values: np.ndarray) -> np.ndarray:
    """The class (n,) int32 of labels (n, size) or (n,), as of `Labels`; -1 where it is not published."""
    if values.ndim == 1:
        return values
    known = ~np.isnan(values).all(axis=1)
    return np.where(known, np.nan_to_num(values).argmax(axis=1), NOT_KNOWN).astype(np.int32)


def write_labels(path: AnyPath, space: LabelSpace, parts: Sequence[tuple[Labels, np.ndarray]]) -> tuple[Form, str]:
    """Writes the labels of one space and annotator in the smallest form that gives every bit of their vectors back.

    Args:
        path: of the file.
        space: of the labels.
        parts: each database's labels, one after the other, vectors or classes; and the classes (size,) bool that it
            does not have.

    Returns:
        The form, and the hash of the file.
    """
    form = SMALLEST.get(space.kind, "vectors")
    pieces = [as_form(labels.values, lacks, form) for labels, lacks in parts]
    if any(piece is None for piece in pieces):
        form = "vectors"
        pieces = [as_form(labels.values, lacks, form) for labels, lacks in parts]
    values = np.concatenate([piece for piece in pieces if piece is not None])
    rows, splits = (np.concatenate(columns) for columns in zip(*((p.rows, p.splits) for p, _ in parts), strict=True))
    assert (np.diff(rows) > 0).all(), "rows ascend"
    column = pa.array(values) if values.ndim == 1 else _lists(values)
    schema = label_schema(space.size, form)
    return form, write_table(path, pa.table([pa.array(rows, pa.int64()), column, pa.array(splits)], schema=schema))


def as_form(values: np.ndarray, lacks: np.ndarray, form: Form) -> np.ndarray | None:
    """Labels in a form, as of `Labels`; None: the vectors that it gives back would differ from those given.

    Args:
        values: (k, size) float32 vectors, or (k,) int32 classes.
        lacks: (size,) bool, the classes that their database does not have.
        form: that is wanted.
    """
    if form == ("classes" if values.ndim == 1 else "vectors"):
        return values
    unknown = np.tile(unknown_classes(lacks), (len(values), 1))
    if values.ndim == 1:
        return to_vectors(values, unknown)
    if form == "classes":
        found = largest_class(values)
    else:
        is_flag = (values == 0) | (values == 1)
        found = np.where(is_flag, values, NOT_KNOWN).astype(np.int8)
    again = to_vectors(found, unknown)
    return found if np.array_equal(again.view(np.uint32), np.ascontiguousarray(values).view(np.uint32)) else None


def read_labels(path: Path, space: LabelSpace, form: Form) -> Labels:
    """Maps a file of labels.

    Raises:
        StoreError: not there, or not a table of them.
    """
    batch = map_columns(path, label_schema(space.size, form))
    with damage_named(path):
        values = batch.column("value")
        flat = values if form == "classes" else values.flatten()
        numbers = flat.to_numpy(zero_copy_only=True)
        vectors = numbers if form == "classes" else numbers.reshape(batch.num_rows, space.size)
        return Labels(mapped_array(batch, "row"), vectors, mapped_array(batch, "split"))


def no_labels(space: LabelSpace) -> Labels:
    """Labels of nothing."""
    values = np.zeros((0, space.size), np.float32)
    return Labels(np.zeros(0, np.int64), values, np.zeros(0, np.int8))


def label_sets(
    labels: Mapping[LabelKey, Labels],
    spaces: Iterable[LabelSpace],
    of_databases: Sequence[Iterable[LabelSpace]],
    database: np.ndarray,
    videos: np.ndarray,
    clip: np.ndarray | None,
) -> dict[LabelKey, LabelSet]:
    """Labels by space and annotator, to be looked up; of every space with an annotator without a name.

    Args:
        labels: that there are.
        spaces: of the store.
        of_databases: spaces of each database.
        database: (n,) int8 of the rows that are looked up.
        videos: (videos,) int8 database of each.
        clip: (n,) place of the video of each row; -1: none. None will do where no space is of clips.
    """
    sets = {}
    for space in spaces:
        lacks = missing_classes(space, of_databases)
        own = {"": no_labels(space)} | {by: found for (name, by), found in labels.items() if name == space.name}
        for annotator, found in own.items():
            of_clips = space.level == "clip"
            of, clips = (videos, clip) if of_clips else (database, None)
            sets[space.name, annotator] = LabelSet(space, found, of, lacks, clips)
    return sets


def missing_classes(space: LabelSpace, databases: Iterable[Iterable[LabelSpace]]) -> np.ndarray:
    """The classes (databases, size) bool of a store's space that databases with these spaces do not have."""
    lacks = []
    for spaces in databases:
        own = next((own for own in spaces if own.name == space.name), space)
        lacks.append([place < 0 for place in own.places(space.names)])
    return np.array(lacks, bool).reshape(-1, space.size)


def label_name(space: str, annotator: str, unseen: bool) -> str:
    """Path, below the folder of labels, of those of an annotator in a space: of rows or clips, or of unseen frames."""
    by = f"@{part_of_name(annotator, '', len(f'{space}@.arrow'))}" if annotator else ""
    return f"{UNSEEN_LABELS}/{space}{by}.arrow" if unseen else f"{space}{by}.arrow"


def _lists(values: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).reshape(-1)), values.shape[1])
