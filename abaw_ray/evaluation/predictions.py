"""Predictions beside the true labels, one row a frame: their table, its Parquet file and its scores."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from abaw_ray.errors import StoreError
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.base import Decision, Task

POOLED = "all"
"""Name of the scores over the frames of all databases together."""

PREDICTED, DEVIATION = "predicted_", "deviation_"
"""Beginnings of the columns beside a task's labels."""

Decisions = Mapping[str, Decision]
"""Task -> what its answers need; a task without any has nothing fitted."""


def prediction_schema(spaces: Sequence[LabelSpace], with_deviation: Container[str] = ()) -> pa.Schema:
    """Columns of a prediction table.

    `seen` is false where the frame has no picture of its own, `subject` is null where the store does not know who it
    is. For every space the label vector and the predicted one (the field's metadata name their numbers; of classes
    these are probabilities), NaN where there is none; of the spaces in `with_deviation` the standard deviations of the
    predicted ones, too, NaN where there was no picture to predict from.
    """
    fields = [
        pa.field("database", pa.string()),
        pa.field("video", pa.string()),
        pa.field("frame", pa.int32()),
        pa.field("seen", pa.bool_()),
        pa.field("subject", pa.string()),
    ]
    for space in spaces:
        names = {"names": ",".join(space.names)}
        kind = pa.list_(pa.float32(), space.size)
        prefixes = ("", PREDICTED, DEVIATION) if space.name in with_deviation else ("", PREDICTED)
        fields += [pa.field(f"{prefix}{space.name}", kind, metadata=names) for prefix in prefixes]
    return pa.schema(fields)


def prediction_table(
    *,
    spaces: Sequence[LabelSpace],
    database: Sequence[str] | pa.Array,
    video: Sequence[str] | pa.Array,
    frame: np.ndarray,
    seen: np.ndarray,
    labels: Mapping[str, np.ndarray],
    predictions: Mapping[str, np.ndarray],
    deviations: Mapping[str, np.ndarray] | None = None,
    subject: pa.Array | None = None,
) -> pa.Table:
    """A table of `prediction_schema`.

    Args:
        spaces: of the tasks that have labels and predictions.
        database: (n,) names.
        video: (n,) names.
        frame: (n,) frame numbers.
        seen: (n,) bool.
        labels: task -> (n, size), NaN where there is no label.
        predictions: task -> (n, size), for the same tasks.
        deviations: of predictions: regression -> (n, size); the column of a task that is not there is left out.
        subject: (n,) names of people; None: nobody is known.
    """
    deviations = deviations or {}
    columns = [database, video, frame, seen, subject if subject is not None else pa.nulls(len(frame), pa.string())]
    for space in spaces:
        for of_space in (labels, predictions, deviations):
            if space.name in of_space or of_space is not deviations:
                flat = np.ascontiguousarray(of_space[space.name], np.float32).reshape(-1)
                columns.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), space.size))
    return pa.table(columns, schema=prediction_schema(spaces, deviations))


def write_predictions(table: pa.Table, path: Path) -> None:
    """Writes a prediction table as Parquet."""
    pq.write_table(table, path, compression="zstd")


def labelled(table: pa.Table, task: str) -> np.ndarray:
    """Which frames (n,) bool have a label of a task."""
    return np.isfinite(vectors(table, task)).any(axis=1)


def pairs(table: pa.Table, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions (n, size) of the labelled frames."""
    chosen = labelled(table, task)
    true, predicted = (vectors(table, name)[chosen] for name in (task, f"{PREDICTED}{task}"))
    assert np.isfinite(predicted).all(), "predictions that are no numbers are refused where they are made"
    return true, predicted


def score_predictions(table: pa.Table, tasks: Mapping[str, Task], decisions: Decisions) -> dict[str, Any]:
    """As `scores_by_database`, which must not be empty.

    Raises:
        StoreError: no frame has a label of a task.
    """
    scores = scores_by_database(table, tasks, decisions)
    if not scores:
        raise StoreError(
            f"nothing to score in {len(table)} frames: the labels are of other tasks than the network's, or not"
            " published"
        )
    return scores


def scores_by_database(table: pa.Table, tasks: Mapping[str, Task], decisions: Decisions) -> dict[str, Any]:
    """Scores by database, and over all databases' frames together.

    Args:
        table: of `prediction_schema`.
        tasks: to score.
        decisions: of the tasks.

    Returns:
        Database -> scores, sorted, then `all`. Scores have a part for each task (see its `score`) that frames have both
        label and prediction of, and `criterion`, the sum over those that are targets. A database without any is left
        out.
    """
    names = sorted(pc.unique(table["database"]).to_pylist())
    scores = {name: score(table.filter(pc.equal(table["database"], name)), tasks, decisions) for name in names}
    scores[POOLED] = score(table, tasks, decisions)
    return {name: values for name, values in scores.items() if values}


def video_scores(table: pa.Table, tasks: Mapping[str, Task], decisions: Decisions) -> pa.Table:
    """One row a video: database, video, number of labelled frames, and the tasks' columns (null: no label)."""
    placed = table.select(["database", "video"]).append_column("place", pa.array(np.arange(len(table))))
    groups = placed.group_by(["database", "video"], use_threads=False).aggregate([("place", "list")])
    rows = []
    for group in groups.to_pylist():
        scores = score(table.take(pa.array(group["place_list"])), tasks, decisions)
        row = {"database": group["database"], "video": group["video"], "num_frames": len(group["place_list"])}
        for name, task in tasks.items():
            row |= {column: scores.get(name, {}).get(key) for column, key in task.columns.items()}
        rows.append(row)
    return pa.Table.from_pylist(rows)


def score(table: pa.Table, tasks: Mapping[str, Task], decisions: Decisions) -> dict[str, Any]:
    """Scores of all frames of a table together, as in `scores_by_database`; empty if there is nothing to score."""
    scores: dict[str, Any] = {}
    for name, task in tasks.items():
        true, predicted = pairs(table, name)
        if len(true):
            scores[name] = task.score(true, predicted, decisions.get(name, {}))
    if not scores:
        return {}
    criteria = [tasks[name].criterion(values) for name, values in scores.items() if tasks[name].role == "target"]
    return scores | {"criterion": sum(criteria, 0.0)}


def vectors(table: pa.Table, column: str) -> np.ndarray:
    """The numbers (n, size) of a column of labels, predictions or deviations."""
    array = table[column].combine_chunks()
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(table), array.type.list_size)
