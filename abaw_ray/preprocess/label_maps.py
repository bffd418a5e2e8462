"""Labels of a regression space that are made from those of another one: the same dimensions on another range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from abaw_ray.config import SpaceMap, parse_options
from abaw_ray.databases.base import LabelTable, SetMember
from abaw_ray.databases.reading.table_config import SETS
from abaw_ray.databases.schemas import label_column, label_keys, split_column, task_labels
from abaw_ray.errors import ConfigurationError
from abaw_ray.preprocess.plan import Source
from abaw_ray.spaces import LabelSpace, Split, joined_dimensions


def with_mapped_labels(sources: Sequence[Source], maps: Mapping[str, SpaceMap]) -> list[Source]:
    """The databases, those that have a space that is mapped with labels of the other space, too.

    Whoever gave a label, and the split that it is in, stay the same. A database that takes part in a training set with
    its own space does so in that for the other space alone, which is called as other databases' or as a table's.

    Args:
        sources: databases that were read.
        maps: space to be made -> what it is made from, as `prepare.label_maps`.

    Raises:
        ConfigurationError: a space that no database has, or is not made of the numbers that are wanted, or that a
            database has beside the one that it would be made from.
    """
    mapped = list(sources)
    for name, of_space in maps.items():
        key = f"prepare.label_maps.{name}"
        if not any(_space(source, of_space.source) for source in mapped):
            known = ", ".join(dict.fromkeys(space.name for source in mapped for space in source.table.spaces))
            raise ConfigurationError(f"{key}: no database has labels of {of_space.source}, but of {known}")
        set_name = _set_name(mapped, name)
        mapped = [_mapped(source, name, of_space, set_name, key) for source in mapped]
    return mapped


def _space(source: Source, name: str) -> LabelSpace | None:
    return next((space for space in source.table.spaces if space.name == name), None)


def _set_name(sources: Sequence[Source], space: str) -> str:
    """Name of the training set that other databases make for the space alone; else the usual one."""
    found = (m.set for source in sources for m in source.sets if m.tasks == (space,))
    return next(found, SETS.get(space, space))


def _mapped(source: Source, name: str, of_space: SpaceMap, set_name: str, key: str) -> Source:
    own = _space(source, of_space.source)
    if own is None:
        return source
    if _space(source, name) is not None:
        raise ConfigurationError(f"{key}: {source.database.name} has labels of {name} beside those of {own.name}")
    values = {**of_space.model_dump(exclude={"source"}), "name": name, "kind": own.kind, "level": own.level}
    space = parse_options(LabelSpace, values, key)
    places, table = joined_dimensions(own, space, key), source.table
    member = next((m for m in source.sets if own.name in m.tasks), None)
    sets = source.sets if member is None else (*source.sets, SetMember(set_name, (name,), every=member.every))
    parts = (_with_labels(part, own, space, places) for part in (table.rows, table.unseen, table.clips))
    return replace(source, table=_replaced(table, space, sets, *parts))


def _replaced(
    table: LabelTable, space: LabelSpace, sets: tuple[SetMember, ...], rows: pa.Table, unseen: pa.Table, clips: pa.Table
) -> LabelTable:
    return replace(table, spaces=(*table.spaces, space), rows=rows, unseen=unseen, clips=clips, sets=sets)


def _with_labels(table: pa.Table, own: LabelSpace, space: LabelSpace, places: Sequence[int]) -> pa.Table:
    """A table with columns of `space` beside every one of `own`."""
    scale = (space.high - space.low) / (own.high - own.low)
    for annotator in [by for of, by in label_keys(table) if of == own.name]:
        vectors, splits = task_labels(table, label_column(own.name, annotator))
        values = space.low + (vectors[:, places].astype(np.float64) - own.low) * scale
        values[splits == Split.NONE] = 0.0
        column, flat = label_column(space.name, annotator), pa.array(values.astype(np.float32).reshape(-1))
        table = table.append_column(column, pa.FixedSizeListArray.from_arrays(flat, space.size))
        table = table.append_column(split_column(column), pa.array(splits, pa.int8()))
    return table
