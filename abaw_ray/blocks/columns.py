"""What a store knows of each row beside labels, as labels: who a face is of, and which database it is from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from abaw_ray.blocks.labels import Labels, LabelSet
from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError, StoreError, quoted
from abaw_ray.spaces import LabelSpace, Split

NOBODY = -1


def labels_named(store: Store, name: str, rows: np.ndarray, what: str) -> LabelSet:
    """The labels of a label space of a store, or else of a column as `column_labels` gives them.

    Args:
        store: whose they are.
        name: of a label space, or in `COLUMNS`.
        rows: (n,) of the index that a column labels.
        what: names it, for the error.

    Raises:
        ConfigurationError: neither a label space of the store nor a column.
        StoreError: as of `column_labels`.
    """
    if name in store.spaces:
        return store.labels(name)
    if name not in COLUMNS:
        known = ", ".join([*store.spaces, *COLUMNS])
        raise ConfigurationError(f"{what}: found {name}, expected one of {known}")
    return column_labels(store, name, rows)


def column_labels(store: Store, column: str, rows: np.ndarray) -> LabelSet:
    """A column of a store as train labels in an open space of its name.

    Args:
        store: whose rows they are.
        column: a name in `COLUMNS`. `subject`: who the face is of, people of two databases being different ones, as
            `database/name`; `database`: names of the databases.
        rows: (n,) of the index, that are labelled where it is known, and whose names are the space's classes.

    Raises:
        StoreError: fewer than two different names in these rows.
    """
    rows = np.unique(rows)
    codes, name_of = COLUMNS[column](store, rows)
    known = codes != NOBODY
    found, place = np.unique(codes[known], return_inverse=True)
    names = [name_of(code) for code in found.tolist()]
    if len(names) < 2:
        held = f"only {quoted(names[0])}" if names else "none"
        raise StoreError(f"{store.path}: found {held} as {column} of {len(rows)} rows, expected two or more")
    space = LabelSpace(name=column, kind="multiclass", open=True).with_names(names)
    classes = np.array(space.places(names), np.int32)[place]
    splits = np.full(len(classes), int(Split.TRAIN), np.int8)
    lacks = np.zeros((len(store.databases), space.size), bool)
    return LabelSet(space, Labels(rows[known], classes, splits), store.index.database, lacks)


Coded = tuple[np.ndarray, Callable[[int], str]]
"""Code (n,) int64 of each row, NOBODY where it is not known; and the name that a code stands for."""


def _subjects(store: Store, rows: np.ndarray) -> Coded:
    subjects = store.index.subjects
    known, names = subjects.indices.is_valid().to_numpy(zero_copy_only=False)[rows], subjects.dictionary.to_pylist()
    who = subjects.indices.fill_null(0).to_numpy(zero_copy_only=False)[rows].astype(np.int64)
    codes = np.where(known, store.index.database[rows].astype(np.int64) * max(len(names), 1) + who, NOBODY)

    def name_of(code: int) -> str:
        database, subject = divmod(code, len(names))
        return f"{store.databases[database]}/{names[subject]}"

    return codes, name_of


def _databases(store: Store, rows: np.ndarray) -> Coded:
    return store.index.database[rows].astype(np.int64), lambda code: store.databases[code]


COLUMNS: dict[str, Callable[[Store, np.ndarray], Coded]] = {"subject": _subjects, "database": _databases}
"""What can be a task without labels, by name."""
