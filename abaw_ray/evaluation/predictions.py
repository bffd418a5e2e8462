"""Predictions beside the true labels, one row a frame: their table, its Parquet file and its scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from abaw_ray.errors import MissingInputError, StoreError
from abaw_ray.evaluation.scores import (
    NUM_CLASSES,
    confusion_matrix,
    criterion,
    expression_scores,
    valence_arousal_scores,
)

POOLED = "all"
"""Name of the scores over the frames of all databases together."""


def prediction_schema() -> pa.Schema:
    """Columns of a prediction table.

    `expression` and `predicted_expression` are class ids, -1 for none; `probabilities` are over the seven
    expressions; valence and arousal are in [-1, 1]. What there is not, a label or a prediction, is NaN.
    """
    return pa.schema(
        [
            ("database", pa.string()),
            ("video", pa.string()),
            ("frame", pa.int32()),
            ("expression", pa.int8()),
            ("predicted_expression", pa.int8()),
            ("probabilities", pa.list_(pa.float32(), NUM_CLASSES)),
            ("valence", pa.float32()),
            ("arousal", pa.float32()),
            ("predicted_valence", pa.float32()),
            ("predicted_arousal", pa.float32()),
        ]
    )


def prediction_table(
    *,
    database: Sequence[str] | np.ndarray,
    video: Sequence[str] | np.ndarray,
    frame: np.ndarray,
    expression: np.ndarray,
    probabilities: np.ndarray,
    valence_arousal: np.ndarray,
    predicted_valence_arousal: np.ndarray,
) -> pa.Table:
    """A table of `prediction_schema`.

    Args:
        database: (n,) names.
        video: (n,) names.
        frame: (n,) frame numbers.
        expression: (n,) true class ids, -1 where there is no label.
        probabilities: (n, 7) predicted; NaN where there is no prediction.
        valence_arousal: (n, 2) true valence and arousal, NaN where there is no label.
        predicted_valence_arousal: (n, 2), NaN where there is no prediction.
    """
    predicted = np.isfinite(probabilities).all(axis=1)
    columns = {
        "database": database,
        "video": video,
        "frame": frame,
        "expression": expression,
        "predicted_expression": np.where(predicted, probabilities.argmax(axis=1), -1),
        "probabilities": pa.FixedSizeListArray.from_arrays(
            np.ascontiguousarray(probabilities, dtype=np.float32).ravel(), NUM_CLASSES
        ),
        "valence": valence_arousal[:, 0],
        "arousal": valence_arousal[:, 1],
        "predicted_valence": predicted_valence_arousal[:, 0],
        "predicted_arousal": predicted_valence_arousal[:, 1],
    }
    return pa.table({name: _column(values, prediction_schema().field(name)) for name, values in columns.items()})


def write_predictions(table: pa.Table, path: Path) -> None:
    """Writes a prediction table as Parquet."""
    pq.write_table(table, path, compression="zstd")


def read_predictions(path: Path) -> pa.Table:
    """Reads what `write_predictions` wrote.

    Raises:
        MissingInputError: there is no such file.
        StoreError: it is not a Parquet file, or has other columns.
    """
    if not path.is_file():
        raise MissingInputError(f"no predictions at {path}")
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{path}: not a readable Parquet file: {error}") from None
    if not table.schema.equals(prediction_schema()):
        found = ", ".join(f"{f.name} {f.type}" for f in table.schema)
        expected = ", ".join(f"{f.name} {f.type}" for f in prediction_schema())
        raise StoreError(f"{path}: found columns {found}, expected {expected}")
    return table


def score_predictions(table: pa.Table) -> dict[str, Any]:
    """Scores by database, and over all databases' frames together.

    Args:
        table: of `prediction_schema`.

    Returns:
        Database -> scores, sorted, then `all`. Scores have `expression` (see `scores.matrix_scores`) and
        `valence_arousal` (see `scores.valence_arousal_scores`), each only where frames have both label and
        prediction, and `criterion`, their sum (see `scores.criterion`). A database without either is left out. Each
        task's `num_unpredicted` counts the labelled frames without a finite prediction, which are not scored.

    Raises:
        StoreError: no frame has both a label and a prediction of the same task.
    """
    names = sorted(pc.unique(table["database"]).to_pylist())
    scores = {name: _scores(table.filter(pc.equal(table["database"], name))) for name in names}
    scores[POOLED] = _scores(table)
    if not scores[POOLED]:
        raise StoreError(
            f"nothing to score in {len(table)} frames: no frame has both a label and a finite prediction of the same"
            " task; either the labels are of other tasks than the network's, or the network gives NaN (diverged)"
        )
    return {name: {**tasks, "criterion": criterion(tasks)} for name, tasks in scores.items() if tasks}


def confusion_of(table: pa.Table) -> np.ndarray:
    """Confusion matrix (7, 7) of the frames with a true and a predicted expression; rows are the true classes."""
    return confusion_matrix(*_expressions(table)[:2])


def va_pairs(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted valence and arousal, each (n, 2), of the frames that have both."""
    return _valence_arousal(table)[:2]


def _scores(table: pa.Table) -> dict[str, dict[str, Any]]:
    scores = {}
    true, predicted, num_unpredicted = _expressions(table)
    if len(true):
        scores["expression"] = {**expression_scores(true, predicted), "num_unpredicted": num_unpredicted}
    true, predicted, num_unpredicted = _valence_arousal(table)
    if len(true):
        scores["valence_arousal"] = {**valence_arousal_scores(true, predicted), "num_unpredicted": num_unpredicted}
    return scores


def _expressions(table: pa.Table) -> tuple[np.ndarray, np.ndarray, int]:
    """True and predicted classes of the frames with both, and the number of labelled frames without a prediction."""
    true, predicted = table["expression"].to_numpy(), table["predicted_expression"].to_numpy()
    labelled = true >= 0
    both = labelled & (predicted >= 0)
    return true[both], predicted[both], int(labelled.sum() - both.sum())


def _valence_arousal(table: pa.Table) -> tuple[np.ndarray, np.ndarray, int]:
    true = np.column_stack([table["valence"].to_numpy(), table["arousal"].to_numpy()])
    predicted = np.column_stack([table["predicted_valence"].to_numpy(), table["predicted_arousal"].to_numpy()])
    labelled = np.isfinite(true).all(axis=1)
    both = labelled & np.isfinite(predicted).all(axis=1)
    return true[both], predicted[both], int(labelled.sum() - both.sum())


def _column(values: Any, field: pa.Field) -> pa.Array:
    array = values if isinstance(values, pa.Array) else pa.array(values)
    return array.cast(field.type)
