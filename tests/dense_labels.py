"""Labels of all rows at once, as tests compare them; the package looks them up by batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from paper import SPACES

from abaw_ray.blocks.labels import Labels, LabelSet, label_sets
from abaw_ray.preprocess.label_files import consecutive_rows


def dense(labels: LabelSet) -> tuple[np.ndarray, np.ndarray]:
    """Label vectors (rows, size) and splits (rows,) of all rows."""
    return labels.of(np.arange(len(labels.database if labels.clip is None else labels.clip)))


def vectors(labels: LabelSet) -> np.ndarray:
    """Label vectors (rows, size) of all rows."""
    return dense(labels)[0]


def splits(labels: LabelSet) -> np.ndarray:
    """Splits (rows,) of all rows."""
    return dense(labels)[1]


def labels_of(tables: Sequence[pa.Table]) -> dict[str, LabelSet]:
    """Labels by task of the databases 0, 1, ..., from their tables of rows; nothing is written."""
    spaces = [SPACES] * len(tables)
    found = {}
    for space in SPACES:
        parts = [labels for part in consecutive_rows(tables, spaces) if (labels := part.labels(space, "")) is not None]
        found[space.name, ""] = Labels(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    database = np.repeat(np.arange(len(tables), dtype=np.int8), [table.num_rows for table in tables])
    sets = label_sets(found, SPACES, spaces, database, np.zeros(0, np.int8), None)
    return {task: labels for (task, _), labels in sets.items()}
