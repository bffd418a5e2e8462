"""A corrected file of a review as an annotator of its store: the labels that there are, corrected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.blocks.annotators import AnnotatorManifest, LabelSource, earlier_annotator, write_annotator
from abaw_ray.blocks.files import sha256_of
from abaw_ray.blocks.labels import Labels, largest_class
from abaw_ray.blocks.reader import Store
from abaw_ray.databases.reading.parsing import parse_integer, parse_number
from abaw_ray.databases.reading.table_files import TableFile
from abaw_ray.errors import DatabaseFormatError, MissingInputError, StoreError, quoted
from abaw_ray.evaluation.review_file import CORRECTED, IDENTITY, NO_LABEL, label_text
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.storage import AnyPath

COLUMNS = (*IDENTITY, "label", CORRECTED)
"""That are read; there may be others, and fewer lines than a review wrote."""


class Correction(NamedTuple):
    """A filled-in line.

    Args:
        row: of the table.
        item: row of the store, or place in its videos where labels are of clips.
        place: of the number among the label's; classes: -1.
        label: as the file states it.
        corrected: as the person wrote it.
    """

    row: int
    item: int
    place: int
    label: str
    corrected: str


def add_corrections(store_path: AnyPath | str, file: Path, name: str) -> AnnotatorManifest:
    """Adds corrected labels to a store, in `store.label_sets[task, name]`; no other labels are touched.

    The annotator has every label of the corrected tasks that the annotator without a name has, in the same splits, but
    for those that were corrected; a label corrected to `-` it does not have.

    Args:
        store_path: the store that was reviewed.
        file: `doubts.csv` of a review, or lines of it, with corrections in the column `corrected`: names of classes; 0
            or 1 of attributes; values in the space's range; `-` where there should be no label. Other lines are left.
        name: of the annotator.

    Raises:
        ConfigurationError: a name that is taken, or cannot be one.
        MissingInputError: no such file or store.
        DatabaseFormatError: a line that is not of this store's labels, or a correction that cannot be.
    """
    store = Store(store_path)
    if not file.is_file():
        raise MissingInputError(f"no file {file}; `abaw-ray review` writes one to correct")
    source = LabelSource(kind="corrections", name=file.name, sha256=sha256_of(file))
    found = earlier_annotator(store, name, source)
    if found is not None:
        return found
    table = TableFile(file)
    table.require(dict.fromkeys(COLUMNS, "a review's file"))
    by_task: dict[str, list[Correction]] = {}
    for task, correction in _corrections(store, table):
        by_task.setdefault(task, []).append(correction)
    if not by_task:
        raise DatabaseFormatError(file, None, f"no line with a text in {CORRECTED}", "at least one correction")
    labels = {task: _corrected(store, task, by_task[task], table) for task in store.spaces if task in by_task}
    return write_annotator(store, name, source, labels)


def _corrections(store: Store, table: TableFile) -> Iterator[tuple[str, Correction]]:
    """Task and correction of each line that has one."""
    seen: dict[tuple[str, int, int], int] = {}
    for first, batch in table.batches(COLUMNS):
        cells = {column: batch.column(column).to_pylist() for column in COLUMNS}
        for k, corrected in enumerate(text.strip() for text in cells[CORRECTED]):
            if not corrected:
                continue
            row = first + k
            database, video, frame, task, name = (cells[column][k] for column in IDENTITY)
            if task not in store.spaces:
                raise table.error(row, f"the task {quoted(task)}", f"one of the store's: {', '.join(store.spaces)}")
            item = _item(store, store.spaces[task], (database, video, frame), _refuse(table, row))
            place = _place(store.spaces[task], name, _refuse(table, row))
            key = task, item, place
            if key in seen:
                raise table.error(
                    row, "a second correction of a label", f"one; the first is in {table.where(seen[key])}"
                )
            seen[key] = row
            yield task, Correction(row, item, place, cells["label"][k].strip(), corrected)


Refuse = Callable[[str, str], DatabaseFormatError]
"""Makes the error of a line from what was found, and what was expected."""


def _refuse(table: TableFile, row: int) -> Refuse:
    return lambda found, expected: table.error(row, found, expected)


def _item(store: Store, space: LabelSpace, identity: tuple[str, str, str], refuse: Refuse) -> int:
    """The row, or the place of the clip, that a line is of."""
    database, video, frame = identity
    if database not in store.databases:
        raise refuse(f"the database {quoted(database)}", f"one of the store's: {', '.join(store.databases)}")
    code = store.databases.index(database)
    if space.level == "clip":
        places = [k for k in np.flatnonzero(store.videos.database == code).tolist() if store.videos.names[k] == video]
        if not places:
            raise refuse(f"the video {quoted(video)}", f"a video of {database} in the store")
        return places[0]
    if not frame.strip().isdecimal():
        raise refuse(f"the frame {quoted(frame)}", "a whole number from 0")
    own = pc.index(store.index.videos.dictionary, pa.scalar(video)).as_py()
    in_video = (store.index.database == code) & (store.index.videos.indices.to_numpy() == own)
    rows = np.flatnonzero(in_video & (store.index.frame == int(frame)))
    if own < 0 or not len(rows):
        raise refuse(f"frame {frame} of {quoted(video)}", f"a frame of {database} that is in the store")
    return int(rows[0])


def _place(space: LabelSpace, name: str, refuse: Refuse) -> int:
    """The place of an attribute or a dimension; -1: classes have none."""
    if space.kind == "multiclass":
        if name:
            raise refuse(f"the name {quoted(name)}", f"none: {space.name} is one of several classes")
        return -1
    if name not in space.names:
        raise refuse(f"the name {quoted(name)}", f"one of {', '.join(space.names)}")
    return space.names.index(name)


def _corrected(store: Store, task: str, corrections: list[Correction], table: TableFile) -> Labels:
    """All labels of a task, with corrections in them."""
    space, labels = store.spaces[task], store.labels(task)
    items = np.sort(labels.labels.rows)
    vectors, splits = labels.of(items) if labels.clip is None else labels.of_clips(items)
    vectors, removed = vectors.copy(), np.zeros(len(items), bool)
    for correction in corrections:
        refuse = _refuse(table, correction.row)
        k = int(np.searchsorted(items, correction.item))
        if k == len(items) or items[k] != correction.item or splits[k] == Split.NONE:
            raise refuse("a frame without a label", f"one that has a label of {task}")
        _require_label(space, vectors[k], correction, refuse)
        if correction.corrected == NO_LABEL:
            _remove(space, vectors[k], correction.place)
        elif space.kind == "multiclass":
            _set_class(space, vectors[k], correction.corrected, refuse)
        else:
            vectors[k, correction.place] = _number(space, correction.corrected, table, correction.row)
        removed[k] = np.isnan(vectors[k]).all()
    if removed.all():
        raise StoreError(f"{table.path}: no label of {task} is left")
    return Labels(items[~removed], vectors[~removed], splits[~removed])


def _require_label(space: LabelSpace, vector: np.ndarray, correction: Correction, refuse: Refuse) -> None:
    """That the store's label is the one that the line states."""
    number = largest_class(vector[None])[0] if space.kind == "multiclass" else vector[correction.place]
    is_known = number >= 0 if space.kind == "multiclass" else np.isfinite(number)
    expected = label_text(space, number) if is_known else "no label"
    if correction.label != expected:
        raise refuse(f"the label {quoted(correction.label)}", f"{expected}, as in the store that was reviewed")


def _remove(space: LabelSpace, vector: np.ndarray, place: int) -> None:
    vector[slice(None) if space.kind == "multiclass" else place] = np.nan


def _set_class(space: LabelSpace, vector: np.ndarray, text: str, refuse: Refuse) -> None:
    if text not in space.names:
        raise refuse(quoted(text), f"one of {', '.join(space.names)}, or {NO_LABEL} for no label")
    vector[np.isfinite(vector)] = 0  # classes that the database does not have stay unknown
    vector[space.names.index(text)] = 1


def _number(space: LabelSpace, text: str, table: TableFile, row: int) -> float:
    number: float
    if space.kind == "multilabel":
        expected = f"0, 1, or {NO_LABEL} for no label"
        number = parse_integer(text, table.path, table.line(row), expected)
        is_one = number in (0, 1)
    else:
        expected = f"a number from {space.low:g} to {space.high:g}, or {NO_LABEL} for no label"
        number = parse_number(text, table.path, table.line(row), expected)
        is_one = space.low <= number <= space.high
    if not is_one:
        raise table.error(row, quoted(text), expected)
    return number
