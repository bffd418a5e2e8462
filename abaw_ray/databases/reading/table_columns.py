"""All that is read of a table of labels, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from abaw_ray.databases.reading.table_cells import Part, Texts
from abaw_ray.databases.reading.table_config import COMMON, SpaceConfig, TableConfig, label_space
from abaw_ray.databases.reading.table_files import TableFile
from abaw_ray.errors import DatabaseFormatError, quoted, shortened
from abaw_ray.spaces import LabelSpace

MOST_FOUND_CLASSES = 1000
"""More different texts in a column of classes without `names` are taken for a wrong column."""


@dataclass(frozen=True)
class Labels:
    """The labels of a table's rows in one space.

    Args:
        space: of the labels.
        vectors: (rows, size) float32, NaN where a number of several is not given.
        is_given: (rows,) bool, whether a row has a label.
        is_outside: (rows,) bool, whether it has one out of the space's range, which is none.
    """

    space: LabelSpace
    vectors: np.ndarray
    is_given: np.ndarray
    is_outside: np.ndarray


@dataclass(frozen=True)
class TableColumns:
    """The rows of a table, in its order.

    Args:
        paths: (rows,) as they are written, none empty.
        texts: those of the columns for subject, split, video and annotator that there are, by these keys.
        frames: (rows,) int64 numbers; None: the table has none.
        geometry: (rows, values) float32, NaN where a row has none; 0, 4 or 136 values.
        labels: of each space.
    """

    paths: pa.Array
    texts: dict[str, Texts]
    frames: np.ndarray | None
    geometry: np.ndarray
    labels: tuple[Labels, ...]


def read_columns(file: TableFile, config: TableConfig) -> TableColumns:
    """Reads the columns that `config` names.

    Raises:
        DatabaseFormatError: a column that is not there, or a cell that is not what it should be.
    """
    file.require(config.columns())
    key, columns, size = config.geometry
    paths: list[pa.Array] = []
    texts: dict[str, list[pa.Array]] = {name: [] for name in config.texts}
    frames: list[np.ndarray] = []
    geometry = np.empty((0, size), np.float32)  # of 68 landmarks, half a GB a million: it grows in its place
    named: dict[str, list[pa.Array]] = {name: [] for name, space in config.spaces.items() if space.is_named}
    numbers: dict[str, list[np.ndarray]] = {name: [] for name in config.spaces.keys() - named.keys()}
    for first, batch in file.batches(list(config.columns())):
        part = Part(file, first + np.arange(batch.num_rows), batch)
        paths.append(part.names(config.path))
        for name, column in config.texts.items():
            texts[name].append(part.names(column) if name == "video" else part.texts(column))
        if config.frame is not None:
            frames.append(part.integers(config.frame))
        if size:
            geometry.resize((first + batch.num_rows, size), refcheck=False)
            geometry[first:] = part.vectors(key, columns, size)
        for name, classes in named.items():
            classes.append(part.texts(config.spaces[name].columns[0]))
        for name, vectors in numbers.items():
            vectors.append(_vectors(part, config.spaces[name]))
    num_rows = sum(len(part) for part in paths)
    if not num_rows:
        raise DatabaseFormatError(file.path, None, "no row", "a row for each picture, frame or clip")
    labels = {name: _named_labels(file, name, config.spaces[name], Texts.of(parts)) for name, parts in named.items()}
    labels |= {name: _number_labels(name, config.spaces[name], parts) for name, parts in numbers.items()}
    return TableColumns(
        pa.chunked_array(paths, pa.string()).combine_chunks(),
        {name: Texts.of(parts) for name, parts in texts.items()},
        np.concatenate(frames) if config.frame is not None else None,
        geometry if size else np.empty((num_rows, 0), np.float32),
        tuple(labels[name] for name in config.spaces),
    )


def _vectors(part: Part, space: SpaceConfig) -> np.ndarray:
    """The numbers of a space's columns (rows, columns) float32; NaN where a cell is empty, infinite if out of range."""
    if space.kind == "multiclass":
        vectors = part.vectors("columns", space.columns, len(space.columns))
        sums = vectors.sum(1, keepdims=True)
        wrong = (vectors < 0).any(1) | (sums[:, 0] == 0)
        vectors = vectors / np.where(sums == 0, 1, sums)
    else:
        vectors = np.stack([part.numbers(column) for column in space.columns], axis=1)
        is_binary = space.kind == "multilabel"
        is_wrong = (vectors != 0) & (vectors != 1) if is_binary else (vectors < space.low) | (vectors > space.high)
        wrong = (is_wrong & ~np.isnan(vectors)).any(1)
    vectors[wrong] = np.inf
    return vectors.astype(np.float32)


def _number_labels(name: str, config: SpaceConfig, parts: Sequence[np.ndarray]) -> Labels:
    space = label_space(name, config)
    vectors = np.concatenate([np.empty((0, space.size), np.float32), *parts])
    is_outside = np.isinf(vectors).any(1)
    return Labels(space, vectors, ~np.isnan(vectors).all(1) & ~is_outside, is_outside)


def _named_labels(file: TableFile, name: str, config: SpaceConfig, texts: Texts) -> Labels:
    """Labels from the names of classes. A name that is no class is an error."""
    column = quoted(config.columns[0])
    if not config.names and name not in COMMON:
        expected = f"names of at most {MOST_FOUND_CLASSES} classes, or `names` in spaces.{name}"
        if not len(texts.values):
            raise file.error(0, f"no text in column {column}", expected)
        if len(texts.values) > MOST_FOUND_CLASSES:
            row = int(np.argmax(texts.codes == MOST_FOUND_CLASSES))
            raise file.error(row, f"one more class in column {column}", expected)
    found = texts.values.to_pylist()
    space = label_space(name, config, found)
    by_cell = config.by_cell or {name: name for name in space.names}
    of_class = dict(zip(by_cell, space.places(by_cell.values()), strict=True))
    places = np.array([of_class.get(text, -1) for text in found], np.int64)
    if (places < 0).any():
        code = int(np.argmax(places < 0))
        row = int(np.argmax(texts.codes == code))
        expected = shortened(f"one of {', '.join(by_cell)} (spaces.{name}.names), or an empty cell", 300)
        raise file.error(row, f"{quoted(found[code])} in column {column}", expected)
    is_given = texts.codes >= 0
    vectors = np.zeros((len(texts.codes), space.size), np.float32)
    vectors[is_given, places[texts.codes[is_given]]] = 1
    return Labels(space, vectors, is_given, np.zeros(len(is_given), bool))
