"""Rows of labels, one after the other, to a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from abaw_ray.databases.reading.names import stored_name
from abaw_ray.databases.schemas import LabelKey, label_column, label_keys
from abaw_ray.spaces import LabelSpace, Split

ROWS_PER_CHUNK = 65_536  # Python objects held at a time while millions of rows are read

Label = tuple[Iterable[float] | str | None, Split]
"""A label vector and its split; in an open space a name, or None where it is not published."""


class Columns:
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
