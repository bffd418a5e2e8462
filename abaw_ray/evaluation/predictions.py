"""Predictions frame by frame, as a table and as Parquet, and their scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from abaw_ray.evaluation.scores import confusion_matrix, criterion, expression_scores, valence_arousal_scores
from abaw_ray.labels import EXPRESSIONS

SCHEMA = pa.schema(
    [
        ("database", pa.string()),
        ("video", pa.string()),
        ("frame", pa.int32()),
        ("expression", pa.int8()),
        ("predicted_expression", pa.int8()),
        ("probabilities", pa.list_(pa.float32(), len(EXPRESSIONS))),
        ("valence", pa.float32()),
        ("arousal", pa.float32()),
        ("predicted_valence", pa.float32()),
        ("predicted_arousal", pa.float32()),
    ]
)
"""True labels are -1 or NaN where there are none; predictions likewise of a task the network does not have."""


def prediction_table(
    database: Sequence[str],
    video: Sequence[str],
    frame: np.ndarray,
    expression: np.ndarray,
    probabilities: np.ndarray,
    valence_arousal: np.ndarray,
    predicted_valence_arousal: np.ndarray,
) -> pa.Table:
    """A table of `SCHEMA`.

    Args:
        database: (frames,) names.
        video: (frames,) names.
        frame: (frames,) numbers in the video.
        expression: (frames,) true class ids, -1 for none.
        probabilities: (frames, 7), NaN if not predicted.
        valence_arousal: (frames, 2) true values, NaN for none.
        predicted_valence_arousal: (frames, 2), NaN if not predicted.
    """
    predicted = np.where(np.isnan(probabilities).any(1), -1, probabilities.argmax(1))
    shares = pa.FixedSizeListArray.from_arrays(
        pa.array(probabilities.reshape(-1), pa.float32()), type=SCHEMA.field("probabilities").type
    )
    columns = [database, video, frame, expression, predicted, shares]
    columns += [*valence_arousal.T, *predicted_valence_arousal.T]
    arrays = [
        c if isinstance(c, pa.Array) else pa.array(c, f.type, safe=False) for c, f in zip(columns, SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def write_predictions(table: pa.Table, path: Path) -> None:
    """Writes a table of `SCHEMA` as Parquet."""
    pq.write_table(table, path)


def read_predictions(path: Path) -> pa.Table:
    """Reads what `write_predictions` wrote."""
    return pq.read_table(path, schema=SCHEMA)


def expression_pairs(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class ids of the frames that have both."""
    true, predicted = table["expression"].to_numpy(), table["predicted_expression"].to_numpy()
    both = (true >= 0) & (predicted >= 0)
    return true[both], predicted[both]


def va_pairs(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted valence and arousal, (frames, 2) each, of the frames that have both."""
    true = np.stack([table["valence"].to_numpy(), table["arousal"].to_numpy()], axis=1)
    predicted = np.stack([table["predicted_valence"].to_numpy(), table["predicted_arousal"].to_numpy()], axis=1)
    both = ~np.isnan(true).any(1) & ~np.isnan(predicted).any(1)
    return true[both], predicted[both]


def confusion_of(table: pa.Table) -> np.ndarray:
    """(7, 7) confusion matrix of the table's frames; rows are true classes."""
    return confusion_matrix(*expression_pairs(table))


def score_predictions(table: pa.Table) -> dict[str, dict[str, Any]]:
    """Scores of each database, and of `all` frames pooled: `expression`, `valence_arousal` and `criterion`.

    A task without a frame that has both label and prediction is left out.
    """
    names = table["database"].unique().to_pylist()
    is_from = {name: pc.equal(table["database"], name) for name in names}
    return {"all": _scores(table)} | {name: _scores(table.filter(is_from[name])) for name in sorted(names)}


def _scores(table: pa.Table) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    expressions, values = expression_pairs(table), va_pairs(table)
    if len(expressions[0]):
        scores["expression"] = expression_scores(*expressions)
    if len(values[0]):
        scores["valence_arousal"] = valence_arousal_scores(*values)
    return scores | {"criterion": criterion(scores)}
