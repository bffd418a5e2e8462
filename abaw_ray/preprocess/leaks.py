"""The same still picture in two splits, or with two labels, within a database or across those of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from abaw_ray.config import PrepareConfig
from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.names import printable
from abaw_ray.databases.schemas import label_column, label_keys, split_column
from abaw_ray.preprocess.contents import MadeDatabase
from abaw_ray.preprocess.duplicates import from_text, groups_of_duplicates
from abaw_ray.preprocess.plan import without_labels
from abaw_ray.spaces import Split

TWO_SPLITS, TWO_LABELS = "same_picture_in_two_splits", "same_picture_with_two_labels"
LEFT_OUT = {"validation": Split.VALIDATION, "train": Split.TRAIN}
"""`prepare.exclude_leaks` -> split whose labels go."""


@dataclass(frozen=True)
class _Pictures:
    """The still pictures of several databases.

    Args:
        database: (n,) place of each one's database.
        row: (n,) row of its plan.
        fingerprints: (n, 2).
    """

    database: np.ndarray
    row: np.ndarray
    fingerprints: np.ndarray


def with_leaks_noted(made: Sequence[MadeDatabase], config: PrepareConfig) -> list[MadeDatabase]:
    """The databases 0, 1, ... with what was found in their problems, and without the labels that are to be excluded.

    Two faces are the same picture if their pixels are, or nearly. A pair of splits is counted for the database of the
    picture that is evaluated, two labels for that of the second picture.
    """
    pictures = _pictures(made)
    if not len(pictures.row):
        return list(made)
    problems = [Problems() for _ in made]
    leaking: list[list[int]] = [[] for _ in made]
    splits = [_splits(database.plan.rows) for database in made]
    labels = [_labels(database.plan.rows) for database in made]
    for group in groups_of_duplicates(pictures.fingerprints, config.near_duplicates):
        rows = list(zip(pictures.database[group].tolist(), pictures.row[group].tolist(), strict=True))
        pair = _in_two_splits(rows, splits)
        if pair is not None:
            problems[pair[1][0]].add(TWO_SPLITS, _where(made, pair))
            for database, row in rows:
                leaking[database].append(row)
        disagreeing = _with_two_labels(rows, labels)
        if disagreeing is not None:
            problems[disagreeing[1][0]].add(TWO_LABELS, _where(made, disagreeing))
    return [
        _noted(database, found, rows if config.exclude_leaks != "none" else [], config.exclude_leaks)
        for database, found, rows in zip(made, problems, leaking, strict=True)
    ]


_Row = tuple[int, int]
"""Database, and row of its plan."""


def _pictures(made: Sequence[MadeDatabase]) -> _Pictures:
    databases, rows, found = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty((0, 2), np.uint64)]
    for place, database in enumerate(made):
        if database.plan.source.sequential:
            continue
        kept = database.face.stored()
        rows.append(kept)
        databases.append(np.full(len(kept), place))
        found += [from_text(block.metadata.fingerprints) for block in database.face.blocks]
    return _Pictures(np.concatenate(databases), np.concatenate(rows), np.concatenate(found))


def _splits(rows: pa.Table) -> np.ndarray:
    """Which splits each row has a label of (rows, splits) bool."""
    found = np.zeros((rows.num_rows, len(Split)), bool)
    for key in label_keys(rows):
        splits = rows[split_column(label_column(*key))].to_numpy()
        found[np.arange(rows.num_rows), splits] = True
    return found


def _labels(rows: pa.Table) -> dict[str, tuple[pa.ChunkedArray, np.ndarray]]:
    """Space -> labels of the annotator without a name, and which rows have one (rows,)."""
    return {
        space: (rows[space], rows[split_column(space)].to_numpy() != Split.NONE)
        for space, annotator in label_keys(rows)
        if not annotator
    }


def _in_two_splits(rows: Sequence[_Row], splits: Sequence[np.ndarray]) -> tuple[_Row, _Row] | None:
    """A row with a train label, and another one with a label of another split; None: there are none."""
    trained = [(database, row) for database, row in rows if splits[database][row, Split.TRAIN]]
    evaluated = [(d, row) for d, row in rows if splits[d][row, [Split.VALIDATION, Split.TEST]].any()]
    pairs = ((one, other) for one in trained for other in evaluated if one != other)
    return next(pairs, None)


def _with_two_labels(
    rows: Sequence[_Row], labels: Sequence[Mapping[str, tuple[pa.ChunkedArray, np.ndarray]]]
) -> tuple[_Row, _Row] | None:
    """Two rows that have different labels in a space; None: there are none."""
    first_of: dict[str, tuple[_Row, Any]] = {}
    for database, row in rows:
        for space, (values, is_labelled) in labels[database].items():
            if not is_labelled[row]:
                continue
            value = values[row].as_py()
            first, other = first_of.setdefault(space, ((database, row), value))
            if not _is_same(value, other):
                return first, (database, row)
    return None


def _is_same(value: Any, other: Any) -> bool:
    """Whether two labels are: vectors, whose numbers may be unknown, or names."""
    if isinstance(value, list) and isinstance(other, list):
        return np.array_equal(value, other, equal_nan=True)
    return bool(value == other)


def _where(made: Sequence[MadeDatabase], pair: tuple[_Row, _Row]) -> str:
    names = []
    for database, row in pair:
        plan = made[database].plan
        path, frame = (plan.rows[column][row].as_py() for column in ("image", "frame"))
        names.append(f"{plan.source.database.name} {printable(path)}" + (f", face {frame}" if frame else ""))
    return " and ".join(names)


def _noted(made: MadeDatabase, found: Problems, rows: Sequence[int], excluded: str) -> MadeDatabase:
    """A database with more problems, and without the labels of a split of some rows."""
    problems = Problems()
    problems.merge(made.plan.problems)
    problems.merge(found)
    table = made.plan.rows
    if rows:
        is_leaking = np.zeros(table.num_rows, bool)
        is_leaking[list(rows)] = True
        for key in label_keys(table):
            column = label_column(*key)
            gone = is_leaking & (table[split_column(column)].to_numpy() == LEFT_OUT[excluded])
            problems.add("excluded_leak", count=int(gone.sum()))
            table = without_labels(table, column, gone)
    return replace(made, plan=replace(made.plan, rows=table, problems=problems))
