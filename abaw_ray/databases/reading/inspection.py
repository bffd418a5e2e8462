"""Says what is in a database before anything is prepared from it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table
from rich.text import Text

from abaw_ray.databases.base import Database, LabelTable
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.reading.names import printable
from abaw_ray.databases.reading.overlaps import Overlap
from abaw_ray.databases.schemas import (
    SUBJECT,
    is_published,
    label_column,
    label_keys,
    source_columns,
    split_column,
    task_labels,
)
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.streams.base import Stream

SPLITS = (Split.TRAIN, Split.VALIDATION, Split.TEST)
RENDERED_EXAMPLES = 3
TEXT_COLUMNS = {"task", "split", "class", "dimension", "attribute"}
WIDTH = 110


@dataclass(frozen=True)
class Inspection:
    """Counts of one database; splits and tasks by lower-case name, empty splits left out.

    Args:
        name: the database.
        title: one line about it.
        root: where it was read.
        num_rows: faces, and samples of other streams without one.
        num_faces: faces.
        num_images: distinct image files; of rows without a face, those of their streams.
        num_videos: distinct videos (or photos).
        streams: what faces have beside them -> faces that have it.
        labels: task -> split -> rows, or videos where labels are of clips; `task@annotator` of one with a name.
        unpublished: task -> split -> those of them whose labels are not published; what follows is without them.
        counts: task -> split -> class or attribute -> rows; a distribution counts for its largest class. Without names
            of people, and others of open spaces.
        statistics: task -> split -> dimension -> min, max and mean.
        subjects: split -> people with a label of it; empty: the database names nobody.
        warnings: what is odd about the splits, in sentences.
        overlaps: another database -> the pictures that both have, where it was asked for.
        problems: reason -> count and first examples.
    """

    name: str
    title: str
    root: str
    num_rows: int
    num_faces: int
    num_images: int
    num_videos: int
    streams: dict[str, int]
    labels: dict[str, dict[str, int]]
    unpublished: dict[str, dict[str, int]]
    counts: dict[str, dict[str, dict[str, int]]]
    statistics: dict[str, dict[str, dict[str, dict[str, float]]]]
    subjects: dict[str, int]
    warnings: list[str]
    overlaps: dict[str, Overlap]
    problems: dict[str, dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)

    def render(self) -> str:
        """The same as plain text for people."""
        console = Console(file=io.StringIO(), width=WIDTH, color_system=None, highlight=False, emoji=False)

        def line(text: str) -> None:
            console.print(Text(text), soft_wrap=True)  # Text: a path may hold what looks like rich's markup

        line(f"{self.name}: {self.title}")
        what = "faces" if self.num_faces == self.num_rows else "rows"
        line(f"{self.root}: {self.num_rows:,} {what}, {self.num_images:,} images, {self.num_videos:,} videos")
        if self.num_faces < self.num_rows:
            line(f"stream face: {self.num_faces:,} rows have it")
        for stream, count in self.streams.items():
            line(f"stream {stream}: {count:,} {what} have it")
        counts = [[task, split, f"{n:,}"] for task, by in self.labels.items() for split, n in by.items()]
        console.print(_table("Labels", ("task", "split", "rows"), counts))
        for task, by in self.unpublished.items():
            for split, n in by.items():
                line(f"{task}, {split}: the labels of {n:,} rows are not published")
        for task, by_split in self.counts.items():
            by_name = [[n, *(f"{by[n]:,}" for by in by_split.values())] for n in next(iter(by_split.values()))]
            console.print(_table(_title(task), ("class", *by_split), by_name))
        for task, of_splits in self.statistics.items():
            values = [
                [split, dimension, *(f"{stats[s]:.3f}" for s in ("min", "max", "mean"))]
                for split, by_dimension in of_splits.items()
                for dimension, stats in by_dimension.items()
            ]
            console.print(_table(_title(task), ("split", "dimension", "min", "max", "mean"), values))
        if self.subjects:
            line("People: " + ", ".join(f"{split} {count:,}" for split, count in self.subjects.items()))
        for warning in self.warnings:
            line(f"Warning: {warning}")
        for other, overlap in self.overlaps.items():
            line(f"In {other}, too: {overlap.num_files:,} pictures")
            for example in overlap.examples[:RENDERED_EXAMPLES]:
                line(f"    {example}")
        line("Left out or noted:" if self.problems else "Nothing was left out.")
        for reason, problem in self.problems.items():
            line(f"  {reason}: {problem['count']:,}")
            for example in problem["examples"][:RENDERED_EXAMPLES]:
                line(f"    {example}")
        return "\n".join(text.rstrip() for text in console.file.getvalue().splitlines()) + "\n"  # type: ignore[attr-defined]


def inspect_database(name: str, root: Path | str, options: Mapping[str, Any]) -> Inspection:
    """Reads the labels of the database called `name` and counts them; no image is decoded.

    Raises:
        ConfigurationError: an unknown database, an unknown option or a value an option cannot have.
        MissingInputError: the root or a part of it is not there, or no row of it can be used.
        DatabaseFormatError: a file is not in the database's format.
    """
    database, _, table = read_database(name, root, options)
    return inspect_table(database, root, table)


def inspect_table(
    database: Database, root: Path | str, table: LabelTable, overlaps: Mapping[str, Overlap] | None = None
) -> Inspection:
    """Counts what was read of a database; `overlaps` are what others have, too."""
    rows, by_name = table.rows, {space.name: space for space in table.spaces}
    columns = [(label_column(*key), by_name[key[0]], part) for part in (rows, table.clips) for key in label_keys(part)]
    spaces = {column: space for column, space, _ in columns if not space.open}
    labels = {column: dict(_by_split(part, column)) for column, _, part in columns}
    published = {task: {split: v[is_published(v)] for split, v in by.items()} for task, by in labels.items()}
    counts = _of_each(published, {n: s for n, s in spaces.items() if s.kind != "regression"}, _name_counts)
    people = _people(rows)
    return Inspection(
        name=database.name,
        title=database.title,
        root=printable(str(root)),
        num_rows=rows.num_rows,
        num_faces=rows.num_rows - rows["image"].null_count,
        num_images=len(image_files(rows, table.streams)),
        num_videos=pc.count_distinct(rows["video"]).as_py(),
        streams={s.name: rows.num_rows - rows[source_columns(s.name)[0]].null_count for s in table.streams},
        labels=_counts(labels, len),
        unpublished=_counts(labels, lambda vectors: int((~is_published(vectors)).sum())),
        counts=counts,
        statistics=_of_each(published, {n: s for n, s in spaces.items() if s.kind == "regression"}, _statistics),
        subjects={split: len(names) for split, names in people.items()},
        warnings=[*_never_trained(counts), *_in_two_splits(people)],
        overlaps=dict(overlaps or {}),
        problems=table.problems.to_dict(),
    )


def image_files(rows: pa.Table, streams: Iterable[Stream]) -> list[str]:
    """Different names of the files that pictures are cut from: faces, or of rows without one the images of streams."""
    names = pc.unique(pc.drop_null(rows["image"])).to_pylist()
    if rows["image"].null_count:
        without = rows.filter(rows["image"].is_null())
        of_streams = [source_columns(stream.name)[0] for stream in streams if stream.kind == "image"]
        others = {name for path in of_streams for name in pc.unique(pc.drop_null(without[path])).to_pylist()}
        names += sorted(others.difference(names))
    return names


def _people(rows: pa.Table) -> dict[str, set[str]]:
    """Split -> names of the people with a label of it, in any space."""
    found: dict[str, set[str]] = {}
    columns = [split_column(label_column(*key)) for key in label_keys(rows)]
    for split in SPLITS:
        has = np.any([rows[column].to_numpy() == split for column in columns], axis=0)
        names = set(pc.unique(rows[SUBJECT].filter(pa.array(has))).to_pylist()) - {None}
        if names:
            found[split.name.lower()] = names
    return found


def _never_trained(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Iterable[str]:
    """Classes and attributes that are evaluated and not trained, where others are."""
    for task, by_split in counts.items():
        trained = by_split.get("train", {})
        for split in (name for name in by_split if name != "train" and trained):
            lacking = [name for name, count in by_split[split].items() if count and not trained[name]]
            if lacking:
                yield f"{task}: {split} has {', '.join(lacking)}, which train lacks"


def _in_two_splits(people: Mapping[str, set[str]]) -> Iterable[str]:
    for split in (name for name in people if name != "train"):
        both = sorted(people[split] & people.get("train", set()))
        if both:
            yield f"{len(both):,} people are in train and in {split}, as {both[0]}"


def _by_split(rows: pa.Table, task: str) -> Iterable[tuple[str, np.ndarray]]:
    """Label vectors (rows, size) of each split that has any, NaN where they are not published; of names, (rows, 1)."""
    if pa.types.is_string(rows[task].type):
        is_named, splits = rows[task].is_valid().to_numpy(), rows[split_column(task)].to_numpy()
        vectors = np.where(is_named, np.float32(1), np.float32(np.nan))[:, None]
    else:
        vectors, splits = task_labels(rows, task)
    for split in SPLITS:
        if (splits == split).any():
            yield split.name.lower(), vectors[splits == split]


def _counts(
    labels: Mapping[str, Mapping[str, np.ndarray]], count: Callable[[np.ndarray], int]
) -> dict[str, dict[str, int]]:
    """Task -> split -> count, without splits that have none and tasks that then have none."""
    counts = {task: {split: count(vectors) for split, vectors in by.items()} for task, by in labels.items()}
    found = {task: {split: n for split, n in by.items() if n} for task, by in counts.items()}
    return {task: by for task, by in found.items() if by}


def _of_each(
    labels: Mapping[str, Mapping[str, np.ndarray]],
    spaces: Mapping[str, LabelSpace],
    describe: Callable[[LabelSpace, np.ndarray], Any],
) -> dict[str, dict[str, Any]]:
    """Task -> split -> description of its labels, where there are any."""
    found = {
        name: {split: describe(space, vectors) for split, vectors in labels[name].items() if len(vectors)}
        for name, space in spaces.items()
    }
    return {name: by_split for name, by_split in found.items() if by_split}


def _name_counts(space: LabelSpace, vectors: np.ndarray) -> dict[str, int]:
    if space.kind == "multiclass":
        counts = np.bincount(np.nan_to_num(vectors).argmax(axis=1), minlength=space.size)
    else:
        counts = np.nansum(vectors, axis=0, dtype=np.float64)
    return {name: int(count) for name, count in zip(space.names, counts, strict=True)}


def _statistics(space: LabelSpace, vectors: np.ndarray) -> dict[str, dict[str, float]]:
    known = {name: column[~np.isnan(column)] for name, column in zip(space.names, vectors.T.astype(float), strict=True)}
    return {
        name: {"min": float(numbers.min()), "max": float(numbers.max()), "mean": float(numbers.mean())}
        for name, numbers in known.items()
        if len(numbers)
    }


def _title(task: str) -> str:
    return task.replace("_", " ").capitalize()


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="", box=None, header_style="", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="left" if column in TEXT_COLUMNS else "right")
    for row in rows:
        table.add_row(*row)
    return table
