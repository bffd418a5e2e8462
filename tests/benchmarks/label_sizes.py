"""Bytes of the index and the labels of a store of a million rows, and the time that a batch's labels take.

A database of videos has three label spaces, each for a part of its frames; databases of photos have one or two. There
are no images.
"""

from __future__ import annotations

import tempfile
import timeit
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from report import emit

from abaw_ray.blocks.index import IndexPart, read_index, write_index
from abaw_ray.blocks.labels import LabelSet, label_sets
from abaw_ray.blocks.reader import read_label_files
from abaw_ray.blocks.schema import INDEX, LABELS
from abaw_ray.databases.reading.parsing import rows_table
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION, VALENCE_AROUSAL
from abaw_ray.databases.schemas import SUBJECT
from abaw_ray.preprocess.label_files import consecutive_rows, write_label_files
from abaw_ray.spaces import LabelSpace, Split, all_spaces

PARTS: dict[str, tuple[int, int, dict[LabelSpace, float]]] = {
    "videos": (600_000, 1_000, {EXPRESSION: 0.4, VALENCE_AROUSAL: 0.8, ACTION_UNITS: 0.5}),
    "photos of both": (200_000, 1, {EXPRESSION: 1.0, VALENCE_AROUSAL: 1.0}),
    "photos of expressions": (150_000, 1, {EXPRESSION: 1.0}),
    "frames of valence and arousal": (50_000, 50, {VALENCE_AROUSAL: 1.0}),
}
"""Database -> rows, rows of a video, and which part of its videos has labels in a space."""

BATCH = 64
NUM_BATCHES = 2000
REPEATS = 5


def _read(found: LabelSet, batches: Iterable[np.ndarray]) -> None:
    for rows in batches:
        found.of(rows)


def table(rng: np.random.Generator, num_rows: int, length: int, labelled: dict[LabelSpace, float]) -> pa.Table:
    """A label table; all frames of a video have labels in the same spaces."""
    videos = [f"{number // length:06d}" for number in range(num_rows)]
    labels = {}
    for space, part in labelled.items():
        has = np.repeat(rng.random(-(-num_rows // length)) < part, length)[:num_rows]
        vectors = {
            "multiclass": lambda space=space: np.eye(space.size)[rng.integers(0, space.size, num_rows)],
            "multilabel": lambda space=space: rng.integers(0, 2, (num_rows, space.size)),
            "regression": lambda space=space: rng.uniform(-1, 1, (num_rows, space.size)),
        }[space.kind]()
        splits = np.where(has, rng.choice([int(Split.TRAIN), int(Split.VALIDATION)], num_rows, p=[0.9, 0.1]), 0)
        labels[space.name] = (np.where(has[:, None], vectors, 0), splits)
    return rows_table(list(labelled), videos, np.arange(num_rows) % length, videos, labels)


def measure(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    tables = [table(rng, *part) for part in PARTS.values()]
    of_databases = [tuple(labelled) for _, _, labelled in PARTS.values()]
    spaces = all_spaces(of_databases)
    of_index = [table.rename_columns({SUBJECT: "subject"}) for table in tables]
    write_index(folder / INDEX, [IndexPart(t, *np.divmod(np.arange(len(t)), 512)) for t in of_index])
    files = write_label_files(folder, spaces, consecutive_rows(tables, of_databases), [], [])
    index = read_index(folder / INDEX)
    labels = read_label_files(folder, files, spaces, lambda path, _: path)  # type: ignore[arg-type, return-value]
    sets = label_sets(labels, spaces, of_databases, index.database, np.zeros(0, np.int8), None)
    batches = rng.integers(0, len(index), (NUM_BATCHES, BATCH))
    seconds = {
        space: min(timeit.repeat(partial(_read, found, batches), number=1, repeat=REPEATS))
        for (space, _), found in sets.items()
    }
    label_bytes = {file.name: file.stat().st_size for file in sorted((folder / LABELS).iterdir())}
    index_bytes = (folder / INDEX).stat().st_size
    return {
        "num_rows": len(index),
        "index_bytes": index_bytes,
        "label_bytes": label_bytes,
        "index_and_labels_bytes": index_bytes + sum(label_bytes.values()),
        "microseconds_of_a_batch": {space: 1e6 * value / NUM_BATCHES for space, value in seconds.items()},
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        emit("label_sizes", measure(Path(name)), [])
