"""The table of what a model says of faces: its columns, and how they are filled from predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from abaw_ray.inference.model_info import DEVIATION, ModelInfo
from abaw_ray.spaces import LabelSpace

PLACE_FIELDS = (
    pa.field("source", pa.string()),
    pa.field("frame", pa.int64()),
    pa.field("time", pa.float64()),
    pa.field("face", pa.int32()),
    pa.field("left", pa.float32()),
    pa.field("top", pa.float32()),
    pa.field("right", pa.float32()),
    pa.field("bottom", pa.float32()),
    pa.field("confidence", pa.float32()),
)
"""Input; number of the frame from 0; seconds of the container's clock (null for pictures); number of the person in this
input from 0 (null: no face in this frame); box in pixels of the upright picture; detector's confidence from 0 to 1."""


def answers_schema(info: ModelInfo) -> pa.Schema:
    """Columns of a table of answers, one row a frame and face; a frame without a face has one row of nulls.

    For a multiclass space `<task>` (name of the most probable class), `<task>_<class>` (probabilities) and
    `<task>_entropy` (from 0 to 1); for a multilabel one `<name>` (probability), `<name>_present` and `<task>_entropy`,
    the mean over the attributes; for a regression `<name>` and `<name>_deviation`. A name that two spaces have gets its
    space's name before it.
    """
    fields = list(PLACE_FIELDS)
    for space in info.spaces:
        names = column_names(info, space)
        if space.kind == "multiclass":
            fields += [pa.field(space.name, pa.string()), *(pa.field(name, pa.float32()) for name in names)]
            fields += [pa.field(f"{space.name}_entropy", pa.float32())]
        elif space.kind == "multilabel":
            fields += [pa.field(name, pa.float32()) for name in names]
            fields += [pa.field(f"{name}_present", pa.bool_()) for name in names]
            fields += [pa.field(f"{space.name}_entropy", pa.float32())]
        else:
            fields += [pa.field(f"{name}{suffix}", pa.float32()) for suffix in ("", "_deviation") for name in names]
    return pa.schema(fields)


def column_names(info: ModelInfo, space: LabelSpace) -> list[str]:
    """The column of each number of a space's predictions, in their order."""
    if space.kind == "multiclass":
        return [f"{space.name}_{name}" for name in space.names]
    uses = Counter(name for other in info.spaces if other.kind != "multiclass" for name in other.names)
    taken = {field.name for field in PLACE_FIELDS} | {other.name for other in info.spaces}
    return [f"{space.name}_{name}" if uses[name] > 1 or name in taken else name for name in space.names]


def answer_columns(info: ModelInfo, predictions: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns after those of the place, from a model's predictions.

    Args:
        info: of the model.
        predictions: as `Model.predict` gives them, of n faces.

    Returns:
        Column -> (n,) values.
    """
    columns: dict[str, np.ndarray] = {}
    for space in info.spaces:
        values, names = predictions[space.name], column_names(info, space)
        columns |= dict(zip(names, values.T, strict=True))
        if space.kind == "multiclass":
            columns[space.name] = np.array(space.names, object)[values.argmax(1)]
            columns[f"{space.name}_entropy"] = entropy(values)
        elif space.kind == "multilabel":
            present = values >= np.asarray(info.thresholds.get(space.name, [0.5] * space.size), values.dtype)
            columns |= {f"{name}_present": column for name, column in zip(names, present.T, strict=True)}
            columns[f"{space.name}_entropy"] = entropy(np.stack([values, 1 - values], -1)).mean(1)
        else:
            deviations = predictions[f"{space.name}{DEVIATION}"]
            columns |= {f"{name}_deviation": column for name, column in zip(names, deviations.T, strict=True)}
    return columns


def entropy(probability: np.ndarray) -> np.ndarray:
    """Entropy of distributions (..., classes) to the base of the number of classes, in [0, 1]: (...) float32."""
    logarithm = np.log(np.maximum(probability, np.finfo(np.float32).tiny, dtype=np.float64))
    return (-(probability * logarithm).sum(-1) / max(np.log(probability.shape[-1]), 1e-9)).astype(np.float32)
