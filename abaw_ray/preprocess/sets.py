"""Training sets: which rows of the store take part, after down-sampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from abaw_ray.blocks.index import Index
from abaw_ray.blocks.labels import LabelSet, largest_class
from abaw_ray.databases.base import SetMember
from abaw_ray.errors import ConfigurationError
from abaw_ray.spaces import LabelSpace, Split


@dataclass(frozen=True)
class TrainingSet:
    """A training set: the tasks it is made for and its rows (n,) int64 of the index, by database."""

    name: str
    tasks: tuple[str, ...]
    rows: dict[str, np.ndarray]


def thin(classes: np.ndarray, names: Sequence[str], every_by_class: Mapping[str, int], every: int) -> np.ndarray:
    """Positions that stay after down-sampling by position (Vu et al. 2021; `SetMember` has the rule).

    Args:
        classes: (n,) class of each row, a place in `names`.
        names: of the classes.
        every_by_class: one pass a class: its rows go unless their position, counted anew in every pass over the rows
            of all classes that are left, is a multiple of the number.
        every: after that, rows go unless their position is a multiple of it.

    Returns:
        Ascending positions (kept,) int64.
    """
    kept = np.arange(len(classes))
    for name, step in every_by_class.items():
        of_class = classes[kept] == names.index(name)
        kept = kept[~of_class | (np.arange(len(kept)) % step == 0)]
    return kept[::every]


def training_sets(
    index: Index,
    labels: Mapping[str, LabelSet],
    databases: Sequence[tuple[str, Sequence[SetMember]]],
    spaces: Sequence[LabelSpace],
) -> list[TrainingSet]:
    """The training sets that the databases' members make up, sorted by name.

    Only train labels count, and labels shared by another task do too if they are train labels; validation labels are
    never touched. A set for a task that no database has labels of is left out.

    Args:
        index: of the store.
        labels: task -> labels of the index's rows.
        databases: name and members of the databases 0, 1, ... of the index.
        spaces: of the store.

    Raises:
        ConfigurationError: two databases give a set of one name different tasks.
    """
    by_name = {space.name: space for space in spaces}
    tasks: dict[str, tuple[str, ...]] = {}
    rows: dict[str, dict[str, np.ndarray]] = {}
    for code, (database, members) in enumerate(databases):
        for member in (m for m in members if set(m.tasks) <= by_name.keys()):
            ordered = tuple(task for task in by_name if task in member.tasks)
            known = tasks.setdefault(member.set, ordered)
            if known != ordered:
                raise ConfigurationError(
                    f"training set {member.set}: {database} makes it for {', '.join(ordered)},"
                    f" another database for {', '.join(known)}"
                )
            rows.setdefault(member.set, {})[database] = _member_rows(index, labels, code, member)
    return [TrainingSet(name, tasks[name], rows[name]) for name in sorted(rows)]


def _member_rows(index: Index, labels: Mapping[str, LabelSet], code: int, member: SetMember) -> np.ndarray:
    """Rows (n,) of a database's part in a set."""
    first = labels[member.tasks[0]]
    assert first.space.kind == "multiclass" or not member.every_by_class, "rows without a class cannot be thinned by it"
    train = [labels[task].mask(Split.TRAIN) for task in member.tasks]
    rows = np.flatnonzero(np.logical_and.reduce([index.database == code, *train]))
    if not member.every_by_class:
        return rows[:: member.every]
    classes = largest_class(first.of(rows)[0])
    return rows[thin(classes, first.space.names, member.every_by_class, member.every)]
