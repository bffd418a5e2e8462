"""What a report says of a run: its files, its store's, and those of an evaluation of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from abaw_ray.blocks.files import damage_named, read_json, stated
from abaw_ray.blocks.manifest import Manifest
from abaw_ray.blocks.reader import Store
from abaw_ray.databases.reading.generated import is_synthetic
from abaw_ray.errors import ConfigurationError, MissingInputError, UserError
from abaw_ray.evaluation.decisions import FILE as DECISIONS
from abaw_ray.evaluation.evaluator import HEADLINE
from abaw_ray.evaluation.predictions import POOLED, Decisions
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import RUN_FILE, Checkpoint
from abaw_ray.monitoring.run_log import read_metrics
from abaw_ray.reports.rows import rows_of
from abaw_ray.storage import AnyPath, as_path
from abaw_ray.tasks.base import Task

SCORES, PREDICTIONS, VIDEOS = "scores.json", "predictions.parquet", "videos.csv"


@dataclass(frozen=True)
class EvaluatedRun:
    """The files that `evaluation.evaluate.evaluate` wrote about a run.

    Args:
        folder: they are in.
        values: of `scores.json`.
        table: predictions beside labels, of `evaluation.predictions.prediction_schema`.
        videos: scores by video; None: nothing evaluated is a video.
        decisions: what the answers were made with.
    """

    folder: AnyPath
    values: dict[str, Any]
    table: pa.Table
    videos: pa.Table | None
    decisions: Decisions

    def scores(self, protocol: str = HEADLINE, database: str = POOLED) -> dict[str, Any]:
        """Task -> key -> score, and `criterion`; empty if there are none."""
        return self.values["scores"].get(protocol, {}).get(database, {})

    def score(self, task: str | None, key: str, database: str = POOLED, protocol: str = HEADLINE) -> float | None:
        """One score; the criterion is of no task."""
        scores = self.scores(protocol, database)
        return (scores.get(task, {}) if task is not None else scores).get(key)

    def interval(self, task: str | None, key: str, database: str = POOLED) -> list[float] | None:
        """The 95% interval of one score of the headline protocol; None: it is not known."""
        found = self.values.get("intervals", {}).get(database, {})
        found = found.get(task, {}) if task is not None else found
        interval = found.get(key)
        return interval if isinstance(interval, list) and len(interval) == 2 else None


@dataclass(frozen=True)
class RunData:
    """A finished run.

    Args:
        name: that tells it from the others of a page.
        path: its folder.
        summary: of `run.json`.
        trained: its best checkpoint.
        epochs: of `metrics.jsonl`.
        finished: when it was, in UTC; None: not known.
        store: that it was trained on; None: it is not there any more.
        no_store: why not; empty if it is.
        evaluation: of its best checkpoint.
    """

    name: str
    path: AnyPath
    summary: dict[str, Any]
    trained: Checkpoint
    epochs: list[dict[str, Any]]
    finished: datetime | None
    store: Store | None
    no_store: str
    evaluation: EvaluatedRun

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """Its tasks that were evaluated."""
        tasks = self.trained.tasks(self.trained.recipe)
        return {name: task for name, task in tasks.items() if name in self.evaluation.table.column_names}

    @property
    def manifest(self) -> Manifest | None:
        """Of its store."""
        return self.store.manifest if self.store is not None else None

    @property
    def criterion(self) -> float:
        """What it was selected by, in the evaluation."""
        return float(self.evaluation.scores()["criterion"])

    @cached_property
    def rows(self) -> np.ndarray:
        """Row (frames,) int64 of the store that each evaluated frame's own picture is in; -1: none, or no store."""
        if self.store is None:
            return np.full(len(self.evaluation.table), -1)
        return rows_of(self.store, self.evaluation.table)

    def columns(self, task: str) -> dict[str, str]:
        """Headings of a task's scores -> their keys."""
        return dict(self.evaluation.values["columns"].get(task, {}))

    def main_columns(self, task: str) -> dict[str, str]:
        """The headings that a task is judged by: the first, or of a regression the first of each dimension."""
        space = self.tasks[task].space
        return dict(list(self.columns(task).items())[: space.size if space.kind == "regression" else 1])


def read_run(path: AnyPath, name: str, evaluation: AnyPath) -> RunData:
    """A finished run and an evaluation of it.

    Args:
        path: the run's folder.
        name: for the page.
        evaluation: a folder that `evaluate` wrote.

    Raises:
        MissingInputError: not a finished run, or no evaluation.
        StoreError: a file is damaged.
        ConfigurationError: the evaluation is of another run.
    """
    trained = checkpoint.load(path)
    store, problem = _store(run_summary(path)["store"])
    return RunData(
        name=name,
        path=path,
        summary=run_summary(path),
        trained=trained,
        epochs=read_metrics(path),
        finished=changed_at(path / RUN_FILE),
        store=store,
        no_store=problem,
        evaluation=read_evaluation(evaluation, trained),
    )


def run_summary(path: AnyPath) -> dict[str, Any]:
    """What `run.json` says.

    Raises:
        MissingInputError: not a finished run.
        StoreError: it is damaged.
    """
    if not (path / RUN_FILE).is_file():
        raise MissingInputError(f"{path}: not a finished run, it has no {RUN_FILE}")
    found = read_json(path / RUN_FILE, checkpoint.DAMAGED)
    stated(found, "store", str, path / RUN_FILE)
    return found


def runs_on(store: str, places: Iterable[str]) -> list[AnyPath]:
    """Those of some runs and checkpoints that are finished runs on a store."""
    paths = [as_path(place) for place in places]
    return [path for path in paths if (path / RUN_FILE).is_file() and run_summary(path)["store"] == store]


def read_evaluation(folder: AnyPath, trained: Checkpoint) -> EvaluatedRun:
    """The files of an evaluation.

    Args:
        folder: that `evaluate` wrote.
        trained: the checkpoint that it must be of.

    Raises:
        MissingInputError: there are none.
        StoreError: a file is damaged.
        ConfigurationError: it is of another network.
    """
    for name in (SCORES, PREDICTIONS):
        if not (folder / name).is_file():
            raise MissingInputError(f"{folder}: no evaluation, {name} is missing; `abaw-ray evaluate` writes it")
    values, fitted = _read(folder)
    if not _is_of(values, fitted, trained):
        raise ConfigurationError(f"{folder}: found an evaluation of {values.get('checkpoint')}, not of {trained.path}")
    with damage_named(folder / PREDICTIONS):
        table = pq.read_table(pa.BufferReader((folder / PREDICTIONS).read_bytes()))
    videos = None
    if (folder / VIDEOS).is_file():
        with damage_named(folder / VIDEOS):
            videos = pyarrow.csv.read_csv(pa.BufferReader((folder / VIDEOS).read_bytes()))
    decisions = fitted["decisions"] if fitted is not None else trained.description.decisions
    return EvaluatedRun(folder, values, table, videos, decisions)


def is_evaluated(folder: AnyPath, trained: Checkpoint) -> bool:
    """Whether a folder has an evaluation of a checkpoint."""
    return (folder / SCORES).is_file() and (folder / PREDICTIONS).is_file() and _is_of(*_read(folder), trained)


def _read(folder: AnyPath) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Scores, and decisions where labels were there to fit them."""
    values = read_json(folder / SCORES, "evaluate again")
    return values, read_json(folder / DECISIONS, "evaluate again") if (folder / DECISIONS).is_file() else None


def _is_of(values: dict[str, Any], fitted: dict[str, Any] | None, trained: Checkpoint) -> bool:
    if fitted is not None:
        return fitted.get("weights_sha256") == trained.weights_sha256()
    return values.get("checkpoint") == str(trained.path)


def names_of(paths: Sequence[AnyPath]) -> list[str]:
    """The end of each path that tells it from the others: its folder's name, with those above it where it must be."""
    parts = [[part for part in str(path).split("/") if part] for path in paths]
    names = []
    for own in parts:
        length = 1
        while length < len(own) and sum(other[-length:] == own[-length:] for other in parts) > 1:
            length += 1
        names.append("/".join(own[-length:]))
    return names


def synthetic_databases(manifest: Manifest) -> list[str]:
    """Names of the databases that were generated, as the store says."""
    return [entry.name for entry in manifest.databases if is_synthetic(entry.title)]


def labels_said(labels: Mapping[str, Mapping[str, int]]) -> str:
    """Task -> split -> number, in one line."""
    return "; ".join(
        f"{task}: {', '.join(f'{split} {number:,}' for split, number in splits.items())}"
        for task, splits in labels.items()
    )


def changed_at(file: AnyPath) -> datetime | None:
    """When a file was last written, in UTC; None: not known."""
    if isinstance(file, Path):
        return datetime.fromtimestamp(file.stat().st_mtime, timezone.utc)
    stamp = file.info().mtime
    return stamp.astimezone(timezone.utc) if stamp is not None else None


def by_path(runs: Sequence[RunData]) -> Mapping[str, RunData]:
    """Runs by their resolved folder."""
    return {str(run.path.resolve()): run for run in runs}


def _store(place: str) -> tuple[Store | None, str]:
    try:
        return Store(place), ""
    except UserError as error:
        return None, str(error)
