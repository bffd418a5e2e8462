"""What a store holds besides its blocks: index, videos, training sets, and the manifest's account of databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from abaw_ray.blocks.index import Index, IndexPart, write_rows
from abaw_ray.blocks.manifest import DatabaseEntry, Problem, SetEntry
from abaw_ray.blocks.reader import set_path
from abaw_ray.blocks.schema import SETS
from abaw_ray.blocks.writer import BlockResult
from abaw_ray.databases.base import Problems, in_spaces, is_published
from abaw_ray.databases.reading.names import printable
from abaw_ray.preprocess.plan import DatabasePlan, Source
from abaw_ray.preprocess.sets import TrainingSet
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.storage import AnyPath


@dataclass(frozen=True)
class MadeDatabase:
    """A database whose blocks are in the store.

    Args:
        plan: what was to be made.
        blocks: what was made, in the order of `plan.blocks`.
        first_block: place of the first one in the manifest's list.
    """

    plan: DatabasePlan
    blocks: list[BlockResult]
    first_block: int

    def problems(self) -> Problems:
        """What was left out, in reading, planning and cropping."""
        problems = Problems()
        problems.merge(self.plan.problems)
        for block in self.blocks:
            problems.merge(block.problems())
        return problems


def index_part(made: MadeDatabase, spaces: Sequence[LabelSpace]) -> IndexPart:
    """The rows of the index of a database, with labels in the store's `spaces`: its planned rows that have an image."""
    rows, kept = in_spaces(made.plan.rows, made.plan.source.table.spaces, spaces), ~_dropped(made)
    num_rows = np.array([block.num_rows for block in made.blocks], np.int64)
    places = np.repeat(made.first_block + np.arange(len(num_rows)), num_rows)
    within = np.arange(num_rows.sum()) - np.repeat(np.cumsum(num_rows) - num_rows, num_rows)
    return IndexPart(rows if kept.all() else rows.filter(pa.array(kept)), places, within)


def unseen_frames(made: MadeDatabase, spaces: Sequence[LabelSpace]) -> pa.Table:
    """Frames of a database's videos without an image, with labels in the store's `spaces`.

    They are those known before, and those whose image could not be used.
    """
    plan, own = made.plan, made.plan.source.table.spaces
    known = in_spaces(plan.unseen, own, spaces)
    if not plan.source.database.sequential:
        return known
    return pa.concat_tables([known, in_spaces(plan.rows.filter(pa.array(_dropped(made))), own, spaces)])


def _dropped(made: MadeDatabase) -> np.ndarray:
    """Which planned rows (rows,) have no image."""
    dropped = np.zeros(made.plan.rows.num_rows, bool)
    for planned, block in zip(made.plan.blocks, made.blocks, strict=True):
        dropped[[planned.start + row for row in block.metadata.dropped]] = True
    return dropped


def write_sets(store: AnyPath, sets: Sequence[TrainingSet]) -> list[SetEntry]:
    """Writes the files of the training sets, and removes those of others."""
    entries = []
    for part in sets:
        path = set_path(store, part.name)
        sha256 = write_rows(path, np.concatenate(list(part.rows.values())))
        num_rows = {database: len(rows) for database, rows in part.rows.items()}
        entries.append(SetEntry(name=part.name, tasks=part.tasks, num_rows=num_rows, sha256=sha256))
    wanted = {set_path(store, part.name) for part in sets}
    for path in (store / SETS).glob("*.arrow"):
        if path not in wanted:
            path.unlink()
    return entries


def database_entry(made: MadeDatabase, code: int, index: Index, joined: Sequence[LabelSpace]) -> DatabaseEntry:
    """The manifest's account of database `code` of the index; `joined` are the store's spaces."""
    own = index.database == code
    source = made.plan.source
    spaces = source.table.spaces
    labels = {space.name: _split_counts(index.splits[space.name][own]) for space in spaces}
    classes = {
        space.name: _class_counts(space, index.labels[space.name][own], index.splits[space.name][own])
        for space in joined
        if space.kind == "multiclass" and space.name in labels
    }
    return DatabaseEntry(
        name=source.database.name,
        title=source.database.title,
        crop=source.crop,
        sequential=source.database.sequential,
        options=_portable_options(source),
        num_images=int(own.sum()),
        num_videos=len(np.unique(index.videos.indices.to_numpy()[own])),
        num_leaking_videos=made.plan.num_leaking_videos,
        labels={task: counts for task, counts in labels.items() if counts},
        spaces=spaces,
        classes={task: counts for task, counts in classes.items() if counts},
        problems={reason: Problem(**problem) for reason, problem in made.problems().to_dict().items()},
    )


def source_paths(source: Source) -> dict[str, str]:
    """The root of a database and its options that are paths."""
    options = {key: printable(str(value)) for key, value in source.options if isinstance(value, Path)}
    return {"root": printable(str(source.root)), **options}


def _split_counts(splits: np.ndarray) -> dict[str, int]:
    counts = {s.name.lower(): int((splits == s).sum()) for s in Split if s != Split.NONE}
    return {name: count for name, count in counts.items() if count}


def _class_counts(space: LabelSpace, vectors: np.ndarray, splits: np.ndarray) -> dict[str, dict[str, int]]:
    """Split -> class -> rows, from label vectors (rows, size) and splits (rows,); unpublished labels are left out."""
    known = is_published(vectors)
    classes, splits = np.nan_to_num(vectors[known]).argmax(1), splits[known]
    counts = {}
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        if (splits == split).any():
            by_class = np.bincount(classes[splits == split], minlength=space.size).tolist()
            counts[split.name.lower()] = dict(zip(space.names, by_class, strict=True))
    return counts


def _portable_options(source: Source) -> dict[str, Any]:
    """The options without paths, given or not: they differ from machine to machine."""
    paths = {key for key, value in source.options if isinstance(value, Path) or value is None}
    return source.options.model_dump(mode="json", exclude=paths)
