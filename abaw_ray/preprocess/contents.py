"""What a store holds besides its blocks: index, videos, training sets, and the manifest's account of databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.blocks.index import Index, IndexPart, write_rows
from abaw_ray.blocks.labels import NOT_KNOWN, Labels, LabelSet, largest_class
from abaw_ray.blocks.manifest import DatabaseEntry, Problem, SetEntry
from abaw_ray.blocks.reader import set_path
from abaw_ray.blocks.schema import SETS
from abaw_ray.blocks.videos import in_order
from abaw_ray.blocks.writer import BlockResult
from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.generated import title_at
from abaw_ray.databases.reading.names import printable
from abaw_ray.databases.schemas import SUBJECT, LabelKey, label_column, label_keys, split_column, videos_schema
from abaw_ray.preprocess.plan import DatabasePlan, Source, StreamPlan
from abaw_ray.preprocess.sets import TrainingSet
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.storage import AnyPath


@dataclass(frozen=True)
class MadeStream:
    """A database's samples of a stream, in the store.

    Args:
        plan: what was to be made.
        blocks: what was made, in the order of `plan.blocks`.
        first_block: place of the first one in the manifest's list of the stream's.
    """

    plan: StreamPlan
    blocks: list[BlockResult]
    first_block: int

    def problems(self) -> Problems:
        """What was left out."""
        problems = Problems()
        for block in self.blocks:
            problems.merge(block.problems())
        return problems

    def dropped(self) -> np.ndarray:
        """Which planned samples (samples,) could not be made."""
        dropped = np.zeros(self.plan.rows.num_rows, bool)
        for planned, block in zip(self.plan.blocks, self.blocks, strict=True):
            dropped[[planned.start + row for row in block.metadata.dropped]] = True
        return dropped

    def stored(self) -> np.ndarray:
        """Rows of the plan (samples made,), ascending, that have a sample."""
        return self.plan.places[~self.dropped()]

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the samples that were made (samples,) are: place in the manifest's list of blocks, and row of it."""
        num_rows = np.array([block.num_rows for block in self.blocks], np.int64)
        block = np.repeat(self.first_block + np.arange(len(num_rows)), num_rows)
        return block, np.arange(num_rows.sum()) - np.repeat(np.cumsum(num_rows) - num_rows, num_rows)


@dataclass(frozen=True)
class MadeDatabase:
    """A database that is in the store.

    Args:
        plan: what was to be made.
        face: its faces.
        streams: what rows have beside them, or without one, by name.
    """

    plan: DatabasePlan
    face: MadeStream
    streams: dict[str, MadeStream]

    def problems(self) -> Problems:
        """What was left out, in reading, planning and cropping faces, and of rows that have none."""
        problems = Problems()
        problems.merge(self.plan.problems)
        problems.merge(self.face.problems())
        without = ~self.kept()
        without[self.face.plan.places] = False
        problems.add("row_without_a_sample", count=int(without.sum()))
        return problems

    def kept(self) -> np.ndarray:
        """Which planned rows (rows,) are stored: those with a face, and those that never had one and have a sample of
        another stream. A row whose face could not be cut is not."""
        kept = np.zeros(self.plan.rows.num_rows, bool)
        for stream in self.streams.values():
            kept[stream.stored()] = True
        kept[self.face.plan.places] = ~self.face.dropped()
        return kept


def stored_rows(made: MadeDatabase) -> pa.Table:
    """The planned rows of a database that are stored."""
    kept = made.kept()
    return made.plan.rows if kept.all() else made.plan.rows.filter(pa.array(kept))


def index_part(made: MadeDatabase, rows: pa.Table) -> IndexPart:
    """A database's part of the index; `rows` are those stored."""
    of_index = rows.select(["video", "frame", SUBJECT]).rename_columns(["video", "frame", "subject"])
    row = np.full(made.plan.rows.num_rows, -1, np.int64)
    row[made.face.stored()] = made.face.places()[1]
    kept = made.kept()
    return IndexPart(of_index, made.face.first_block + made.plan.block_of[kept], row[kept])


def videos_of(plan: DatabasePlan) -> pa.Table:
    """The videos of a database, of `videos_schema`: where photos are labelled whole, all photos."""
    if plan.source.sequential or not plan.clips.num_rows:
        return plan.source.table.videos
    photos = plan.rows.group_by("video").aggregate([("frame", "max")]).sort_by("video")
    num_faces = pc.add(photos["frame_max"], pa.scalar(1, pa.int32()))
    return pa.table([photos["video"], num_faces], schema=videos_schema())


def unseen_frames(made: MadeDatabase, videos: pa.Table) -> pa.Table:
    """Frames of a database's videos without an image, with their labels, as `write_unseen` takes them.

    They are those known before, and those whose image could not be used.
    """
    frames = made.plan.unseen
    if made.plan.source.sequential:
        dropped = made.plan.rows.filter(pa.array(~made.kept()))
        labels = [column for key in label_keys(dropped) for column in _columns(*key)]
        # a column that one of the two lacks is null
        frames = pa.concat_tables([frames, dropped.select(["video", "frame", *labels])], promote_options="default")
    return in_order(frames, videos)


def _columns(space: str, annotator: str) -> tuple[str, str]:
    column = label_column(space, annotator)
    return column, split_column(column)


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


def database_entry(made: MadeDatabase, code: int, index: Index, labels: Mapping[LabelKey, LabelSet]) -> DatabaseEntry:
    """The manifest's account of database `code` of the index; `labels` are the store's."""
    own = index.database == code
    source, spaces = made.plan.source, made.plan.spaces
    found = {
        label_column(*key): (labels[key].space, labels[key].of_database(code))
        for space in spaces
        for key in labels
        if key[0] == space.name
    }
    counts = {name: _split_counts(of.splits) for name, (_, of) in found.items()}
    classes = {
        name: _class_counts(space, of)
        for name, (space, of) in found.items()
        if space.kind == "multiclass" and not space.open
    }
    return DatabaseEntry(
        name=source.database.name,
        title=title_at(source.database.title, source.root),
        crop=source.crop,
        sequential=source.sequential,
        options=_portable_options(source),
        num_images=int(own.sum()),
        num_videos=len(np.unique(index.videos.indices.to_numpy()[own])),
        num_leaking_videos=made.plan.num_leaking_videos,
        labels={name: of_splits for name, of_splits in counts.items() if of_splits},
        spaces=spaces,
        classes={name: of_splits for name, of_splits in classes.items() if of_splits},
        problems={reason: Problem(**problem) for reason, problem in made.problems().to_dict().items()},
    )


def source_paths(source: Source) -> dict[str, str]:
    """The root of a database and its options that are paths."""
    options = {key: printable(str(value)) for key, value in source.options if isinstance(value, Path)}
    return {"root": printable(str(source.root)), **options}


def _split_counts(splits: np.ndarray) -> dict[str, int]:
    counts = {s.name.lower(): int((splits == s).sum()) for s in Split if s != Split.NONE}
    return {name: count for name, count in counts.items() if count}


def _class_counts(space: LabelSpace, labels: Labels) -> dict[str, dict[str, int]]:
    """Split -> class -> labels; those that are not published are left out."""
    classes = largest_class(labels.values)
    counts = {}
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        of_split = classes[(labels.splits == split) & (classes != NOT_KNOWN)]
        if len(of_split):
            by_class = np.bincount(of_split, minlength=space.size).tolist()
            counts[split.name.lower()] = dict(zip(space.names, by_class, strict=True))
    return counts


def _portable_options(source: Source) -> dict[str, Any]:
    """The options without paths, given or not: they differ from machine to machine."""
    paths = {key for key, value in source.options if isinstance(value, Path) or value is None}
    return source.options.model_dump(mode="json", exclude=paths)
