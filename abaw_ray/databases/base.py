"""What every database adapter gives: rows of labels, and an account of everything left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from abaw_ray.labels import EXPRESSIONS, TASKS, Split

MAX_EXAMPLES = 20
ROWS_PER_CHUNK = 65_536  # Python objects held at a time while millions of rows are read


def row_schema() -> pa.Schema:
    """Schema of a label table: one row a face.

    `video` groups rows that must stay together (a video track, or a photo); `frame` orders them in it.
    `image` is relative to the database's root. `geometry` is what the database's crop needs: empty, a box
    (left, top, right, bottom) or 68 landmarks (x0, y0, x1, y1, ...), in pixels of the image. Each task has a
    label vector (zeros where there is none) and the `Split` its label belongs to (NONE where there is none).
    """
    fields = [
        pa.field("video", pa.string()),
        pa.field("frame", pa.int32()),
        pa.field("image", pa.string()),
        pa.field("geometry", pa.list_(pa.float32())),
    ]
    for task, size in TASKS.items():
        fields += [pa.field(task, pa.list_(pa.float32(), size)), pa.field(f"{task}_split", pa.int8())]
    return pa.schema(fields)


@dataclass
class Problems:
    """Counts, by reason, of everything that was left out or looked wrong, with the first few places."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, where: str = "", count: int = 1) -> None:
        """Counts `count` cases of `reason`; `where` says file, line and what was found."""
        if count == 0:
            return
        self.counts[reason] += count
        places = self.examples.setdefault(reason, [])
        if where and len(places) < MAX_EXAMPLES:
            places.append(where)

    def merge(self, other: Problems) -> None:
        self.counts.update(other.counts)
        for reason, places in other.examples.items():
            mine = self.examples.setdefault(reason, [])
            mine.extend(places[: MAX_EXAMPLES - len(mine)])

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Problems:
        """The inverse of `to_dict`."""
        counts = Counter({reason: entry["count"] for reason, entry in values.items()})
        return Problems(counts, {reason: list(entry["examples"]) for reason, entry in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Reason -> `count` and `examples`, sorted by reason."""
        return {r: {"count": self.counts[r], "examples": self.examples.get(r, [])} for r in sorted(self.counts)}


@dataclass
class LabelTable:
    """What an adapter reads: `rows` (of `row_schema`, sorted by video and frame) and what it left out."""

    rows: pa.Table
    problems: Problems


@dataclass(frozen=True)
class SetMember:
    """A database's part in a training set: its rows with a train label of every task in `tasks`, thinned.

    Args:
        set: name of the training set, as `mixed_expr`.
        tasks: the tasks whose labels the set is made for.
        every_by_class: keep every k-th position of these expression classes, one pass a class, in order.
        every: then keep every k-th row.
    """

    set: str
    tasks: tuple[str, ...]
    every_by_class: Mapping[str, int] = field(default_factory=dict)
    every: int = 1


class Options(BaseModel):
    """Options of an adapter; each adapter may add its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Database:
    """One database: how to read it and what it is used for.

    Args:
        name: as typed on the command line.
        title: one line for people.
        obtain: where a researcher gets it.
        options: the adapter's options.
        read: reads the native label files under a root. Raises DatabaseFormatError on a wrong format.
        crop: name of the crop (see `abaw_ray.preprocess.crops`) that turns image and geometry into a face.
        sets: the training sets it takes part in.
        sequential: its rows are video frames (windows over time make sense).
    """

    name: str
    title: str
    obtain: str
    options: type[Options]
    read: Callable[[Path, Any], LabelTable]
    crop: str
    sets: Callable[[Any], tuple[SetMember, ...]]
    sequential: bool = False


def one_hot(expression: int) -> list[float]:
    """The label vector of an expression class."""
    return [float(k == expression) for k in range(len(EXPRESSIONS))]


class RowBuilder:
    """Collects rows column by column and gives the label table, sorted by (video, frame)."""

    def __init__(self) -> None:
        self._chunks: list[pa.Table] = []
        self._columns = _empty_columns()

    def add(
        self,
        video: str,
        frame: int,
        image: str,
        labels: Mapping[str, tuple[Iterable[float], Split]],
        geometry: Iterable[float] = (),
    ) -> None:
        """Adds one face; `labels` maps a task to its label vector and split. Tasks not named are unlabelled."""
        columns = self._columns
        columns["video"].append(video)
        columns["frame"].append(frame)
        columns["image"].append(image)
        columns["geometry"].append(list(geometry))
        for task, size in TASKS.items():
            vector, split = labels.get(task, ([0.0] * size, Split.NONE))
            columns[task].append(list(vector))
            columns[f"{task}_split"].append(int(split))
        if len(columns["video"]) == ROWS_PER_CHUNK:
            self._flush()

    def table(self) -> pa.Table:
        self._flush()
        return pa.concat_tables(self._chunks).sort_by([("video", "ascending"), ("frame", "ascending")])

    def _flush(self) -> None:
        schema = row_schema()
        arrays = {f.name: pa.array(self._columns[f.name], f.type) for f in schema}
        self._chunks.append(pa.table(arrays, schema=schema))
        self._columns = _empty_columns()


def _empty_columns() -> dict[str, list[Any]]:
    return {name: [] for name in row_schema().names}


def task_labels(rows: pa.Table, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Label vectors (rows, size) float32 and splits (rows,) int8 of one task."""
    column = rows[task].combine_chunks()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, TASKS[task])
    return vectors, rows[f"{task}_split"].to_numpy()
