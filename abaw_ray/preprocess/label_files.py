"""Label tables of the databases -> label files of the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.blocks.labels import NOT_KNOWN, Labels, label_name, missing_classes, write_labels
from abaw_ray.blocks.manifest import LabelFile
from abaw_ray.blocks.schema import LABELS
from abaw_ray.databases.schemas import label_column, label_keys, split_column
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.storage import AnyPath, files_below


@dataclass(frozen=True)
class Labelled:
    """A database's part of the rows of the index, of the unseen frames, or of the videos.

    Args:
        table: with columns of labels.
        rows: (table's rows,) int64, ascending, of the whole store.
        spaces: the database's.
    """

    table: pa.Table
    rows: np.ndarray
    spaces: tuple[LabelSpace, ...]

    def labels(self, space: LabelSpace, annotator: str) -> Labels | None:
        """The labels of an annotator in a store's space, as vectors or, of an open one, as classes; None: no column."""
        column = label_column(space.name, annotator)
        if column not in self.table.column_names:
            return None
        splits = pc.fill_null(self.table[split_column(column)], int(Split.NONE)).to_numpy()
        places = np.flatnonzero(splits != Split.NONE)
        found = self.table[column].take(pa.array(places)).combine_chunks()
        if space.open:
            classes = pc.fill_null(pc.index_in(found, value_set=pa.array(space.names, pa.string())), NOT_KNOWN)
            return Labels(self.rows[places], classes.to_numpy(), splits[places])
        own = next(own for own in self.spaces if own.name == space.name)
        vectors = np.full((len(places), space.size), np.nan, np.float32)
        vectors[:, space.places(own.names)] = found.flatten().to_numpy(zero_copy_only=False).reshape(-1, own.size)
        return Labels(self.rows[places], vectors, splits[places])


def consecutive_rows(tables: Sequence[pa.Table], spaces: Sequence[tuple[LabelSpace, ...]]) -> list[Labelled]:
    """Tables of the databases 0, 1, ..., with these spaces, whose rows are numbered on."""
    starts = np.cumsum([0, *(table.num_rows for table in tables)])
    return [
        Labelled(table, np.arange(start, start + table.num_rows), own)
        for table, start, own in zip(tables, starts.tolist(), spaces, strict=False)
    ]


def of_videos(
    clips: Sequence[pa.Table], videos: Sequence[pa.Table], spaces: Sequence[tuple[LabelSpace, ...]]
) -> list[Labelled]:
    """Labels of clips of the databases 0, 1, ..., by the rows of their tables of videos, put one after the other."""
    parts, before = [], 0
    for labels, own_videos, own in zip(clips, videos, spaces, strict=True):
        found = pc.index_in(labels["video"], value_set=own_videos["video"].combine_chunks())
        assert found.null_count == 0, "every labelled clip is a video, or a photo with a row"
        places = found.to_numpy()
        order = np.argsort(places)
        parts.append(Labelled(labels.take(pa.array(order)), before + places[order].astype(np.int64), own))
        before += own_videos.num_rows
    return parts


def write_label_files(
    store: AnyPath,
    spaces: Sequence[LabelSpace],
    index: Sequence[Labelled],
    unseen: Sequence[Labelled],
    clips: Sequence[Labelled],
) -> list[LabelFile]:
    """Writes the labels of the databases 0, 1, ..., and removes files of others.

    Args:
        store: to write to.
        spaces: the store's, of all databases together.
        index: the databases' parts of its rows.
        unseen: of the frames without an image.
        clips: of the videos.

    Returns:
        The files; there is none where nothing is labelled.
    """
    entries = []
    for parts, of_unseen in ((index, False), (unseen, True), (clips, False)):
        annotators = {key for part in parts for key in label_keys(part.table)}
        for space in spaces:
            for annotator in sorted(by for name, by in annotators if name == space.name):
                entry = _write(store, space, annotator, parts, of_unseen)
                entries += [entry] if entry is not None else []
    wanted = {label_name(entry.space, entry.annotator, entry.unseen) for entry in entries}
    for name in files_below(store / LABELS) - wanted:
        if name.endswith(".arrow"):
            (store / LABELS / name).unlink()
    return entries


def _write(
    store: AnyPath, space: LabelSpace, annotator: str, parts: Sequence[Labelled], of_unseen: bool
) -> LabelFile | None:
    lacks = missing_classes(space, [part.spaces for part in parts])
    of_each = [(part.labels(space, annotator), own) for part, own in zip(parts, lacks, strict=True)]
    labels = [(found, own) for found, own in of_each if found is not None and len(found.rows)]
    if not labels:
        return None
    path = store / LABELS / label_name(space.name, annotator, of_unseen)
    form, sha256 = write_labels(path, space, labels)
    num_rows = sum(len(found.rows) for found, _ in labels)
    return LabelFile(
        space=space.name, annotator=annotator, unseen=of_unseen, form=form, num_rows=num_rows, sha256=sha256
    )
