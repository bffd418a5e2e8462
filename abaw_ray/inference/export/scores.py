"""Scores of a model of faces on a store's validation labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from abaw_ray.blocks.reader import Store
from abaw_ray.errors import StoreError
from abaw_ray.inference.export.parity import require_size
from abaw_ray.inference.exported import ScoreChange
from abaw_ray.inference.model_info import Model
from abaw_ray.sampling.windows import covering_windows
from abaw_ray.spaces import Split
from abaw_ray.tasks.base import Task

PART = 256
"""Faces that are read at a time."""
Progress = Callable[[int, int], None]


def validation_scores(
    model: Model, tasks: Mapping[str, Task], store: Store, progress: Progress | None = None
) -> dict[str, dict[str, float]]:
    """Task -> heading -> score of the faces that have a validation label of it, all together.

    A model with a window is given the faces of each video in their order, window by window.

    Raises:
        StoreError: the store has no validation label of any task.
        ConfigurationError: faces of another size.
    """
    require_size(store, model.info)
    names = [space.name for space in model.info.spaces if space.name in store.spaces]
    labelled = {name: store.rows_with(name, Split.VALIDATION) for name in names}
    labelled = {name: rows[store.index.has_face[rows]] for name, rows in labelled.items()}
    labelled = {name: rows for name, rows in labelled.items() if len(rows)}
    if not labelled:
        raise StoreError(f"{store.path}: no validation labels of {', '.join(s.name for s in model.info.spaces)}")
    rows = np.unique(np.concatenate(list(labelled.values())))
    predicted = _predicted(model, store, rows, progress)
    scores = {}
    for name, of_task in labelled.items():
        target, _ = store.labels(name).of(of_task)
        known = np.isfinite(target).any(axis=1)
        prediction = predicted[name][np.searchsorted(rows, of_task)][known]
        decision = {"thresholds": model.info.thresholds[name]} if name in model.info.thresholds else {}
        found = tasks[name].score(target[known], prediction, decision)
        scores[name] = {title: float(found[key]) for title, key in tasks[name].columns.items() if key in found}
    return scores


def score_changes(
    before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]]
) -> tuple[ScoreChange, ...]:
    """What `validation_scores` gave of two models, side by side."""
    return tuple(
        ScoreChange(task=task, score=title, before=value, after=after[task][title])
        for task, of_task in before.items()
        for title, value in of_task.items()
    )


def _predicted(model: Model, store: Store, rows: np.ndarray, progress: Progress | None) -> dict[str, np.ndarray]:
    """Predictions (n, ...) of rows (n,), ascending."""
    starts = np.flatnonzero(_begins(store, rows))
    if model.info.window is None:
        parts = [rows[start : start + PART] for start in range(0, len(rows), PART)]
        places = np.arange(len(rows))
    else:
        windows, places = covering_windows(starts, len(rows), model.info.window)
        parts = list(rows[windows])
    found = []
    for number, part in enumerate(parts, 1):
        found.append(model.predict(store.images(part)))
        if progress is not None:
            progress(number, len(parts))
    return {name: np.concatenate([each[name] for each in found])[places] for name in found[0]}


def _begins(store: Store, rows: np.ndarray) -> np.ndarray:
    """Which of rows (n,) begin a video or photo."""
    videos = store.index.videos.indices.to_numpy()[rows]
    databases = store.index.database[rows]
    return np.concatenate([[True], (np.diff(videos) != 0) | (np.diff(databases) != 0)])
