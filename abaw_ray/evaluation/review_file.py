"""The file of a review: labels to look at, one a line, most doubted first, with a column for a person to fill in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from abaw_ray.spaces import LabelSpace

FILE = "doubts.csv"
CORRECTED = "corrected"
"""Column that a person fills in: a class, 0 or 1, or a value; empty: the label stays."""
NO_LABEL = "-"
"""In that column: what is shown should have no label."""

IDENTITY = ("database", "video", "frame", "task", "name")
"""Columns that say which number is meant: that of an attribute or a dimension, `name`, of a frame's or (frame: empty) a
video's label; empty names are of classes."""


@dataclass(frozen=True)
class Doubt:
    """A label that a model doubts.

    Args:
        item: row of the store, or place in its videos where labels are of clips.
        name: of the attribute or dimension; empty: of classes.
        label: a class's name, 0 or 1, or a number.
        answer: what the model takes it for, written as labels are.
        probability: that the model gives its answer; None: of values.
        score: normalised margin, from -1 (most doubted) to 1; of values the error in deviations, the largest first.
    """

    item: int
    name: str
    label: str
    answer: str
    probability: float | None
    score: float


def label_text(space: LabelSpace, number: float) -> str:
    """How a file states a number of a label: a class by its place, an attribute, or a value."""
    if space.kind == "multiclass":
        return space.names[int(number)]
    return str(int(number >= 0.5)) if space.kind == "multilabel" else f"{number:.5g}"


@dataclass(frozen=True)
class Line:
    """A doubt with what it is of.

    Args:
        database, video: names.
        frame: number; None: of the whole video or photo.
        person: who it is, if the store knows.
        task: of the label.
        trained_on: whether the model learned from this label: yes, no or unknown.
        doubt: as it was found.
    """

    database: str
    video: str
    frame: int | None
    person: str | None
    task: str
    trained_on: str
    doubt: Doubt


def write_review(path: Path, lines: Sequence[Line]) -> None:
    """Writes the file, whose first line is a header: line k + 2 is of `lines[k]`."""
    columns = {
        "database": pa.array([line.database for line in lines], pa.string()),
        "video": pa.array([line.video for line in lines], pa.string()),
        "frame": pa.array([line.frame for line in lines], pa.int64()),
        "person": pa.array([line.person for line in lines], pa.string()),
        "task": pa.array([line.task for line in lines], pa.string()),
        "name": pa.array([line.doubt.name for line in lines], pa.string()),
        "trained_on": pa.array([line.trained_on for line in lines], pa.string()),
        "label": pa.array([line.doubt.label for line in lines], pa.string()),
        "answer": pa.array([line.doubt.answer for line in lines], pa.string()),
        "probability": pa.array([_rounded(line.doubt.probability) for line in lines], pa.float64()),
        "score": pa.array([_rounded(line.doubt.score) for line in lines], pa.float64()),
        CORRECTED: pa.nulls(len(lines), pa.string()),
    }
    pyarrow.csv.write_csv(pa.table(columns), path)


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(float(number), 4)
