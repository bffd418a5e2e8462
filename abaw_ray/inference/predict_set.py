"""Submission files: one text file a face track and task, one row a video frame."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.databases.track_files import TRACK_FORMATS
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.evaluation.decisions import read_decisions
from abaw_ray.evaluation.evaluate import open_network
from abaw_ray.evaluation.evaluator import Evaluator
from abaw_ray.evaluation.predict import Progress
from abaw_ray.evaluation.predictions import Decisions
from abaw_ray.evaluation.smoothing import parse_smoothing
from abaw_ray.labels import Split
from abaw_ray.models import checkpoint
from abaw_ray.storage import AnyPath, local_folder
from abaw_ray.world import World, local_device

logger = logging.getLogger(__name__)


def predict_set(
    run: AnyPath | str,
    store_path: AnyPath | str,
    out: AnyPath,
    split: Split = Split.TEST,
    database: str = "affwild2",
    smooth: str | None = None,
    decisions: AnyPath | None = None,
    features: AnyPath | None = None,
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes `out`/<task's folder>/<track>.txt for every track of a split, in the competition's format.

    Every frame of a video has a row: where no face was found, the last prediction before it is repeated; in a video
    without any face, the mean of the task's other predictions.

    Args:
        run: a finished run, or a checkpoint.
        store_path: a store of the images' size the network was trained with.
        out: a folder, new or empty.
        split: whose tracks.
        database: whose tracks; a database of videos.
        smooth: smoothing over time as `smoothing.parse_smoothing` takes it. Thresholds are then those that the run's
            validation gave, which are of predictions as they are.
        decisions: smoothing and thresholds of an evaluation on validation, instead: its file or folder.
        features: features of a temporal network's CNN on this store; None: computed from the images.
        change: applied to the checkpoint's recipe.
        progress: shows how far it is.

    Returns:
        Checkpoint, folder, number of files and frames by task, names of the tracks without any face.

    Raises:
        ConfigurationError: the folder is not empty, the database holds no videos, or decisions beside a smoothing or
            of another network.
        MissingInputError, StoreError: no such run or store, or no track of that split.
    """
    trained, store = checkpoint.load(run), Store(store_path)
    trained.require(store)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigurationError(f"{out} is not an empty folder; choose another")
    if database not in store.databases or not store.sequential[store.databases.index(database)]:
        raise StoreError(f"{store.path}: no database of videos called {database}")
    if decisions is not None and smooth is not None:
        raise ConfigurationError("--decisions hold the smoothing; expected no --smooth beside them")
    fitted: Decisions = trained.description.decisions
    if decisions is not None:
        decided = read_decisions(decisions, trained)
        smooth, fitted = decided.smoothing, decided.decisions
    elif smooth is not None and any(fitted.values()):
        logger.warning(
            "thresholds are the run's, fitted without smoothing; `evaluate --smooth` on validation fits them with it"
            " and writes them for --decisions"
        )
    smoothing = parse_smoothing(smooth) if smooth is not None else None
    recipe = change(trained.recipe)
    network, source = open_network(trained, store, recipe, features)
    world = World(device=local_device())
    written: dict[str, dict[str, int]] = {}
    faceless: dict[str, list[str]] = {}
    for name, task in trained.tasks(recipe).items():
        if not _has_tracks(store, name, split, database):
            continue
        evaluator = Evaluator(store, {name: task}, split, recipe, source, [database])
        frames = evaluator.frames
        predictions = evaluator.predict_frames(network, world, progress)[name]
        if smoothing is not None:
            predictions = smoothing.apply(predictions, frames.starts)
        tracks = dict(zip(frames.names, np.split(predictions, frames.starts[1:]), strict=True))
        mean = predictions.mean(axis=0, keepdims=True)
        tracks |= {track: np.repeat(mean, length, axis=0) for track, length in frames.faceless.items()}
        with local_folder(out / TRACK_FORMATS[name].folder) as folder:
            for track, part in tracks.items():
                TRACK_FORMATS[name].write(folder / f"{track}.txt", task.answers(part, fitted.get(name, {})))
        written[name] = {"num_files": len(tracks), "num_frames": sum(map(len, tracks.values()))}
        faceless[name] = list(frames.faceless)
    if not written:
        raise StoreError(f"{store.path}: {database} has no {split.name.lower()} tracks of the run's tasks")
    return {"checkpoint": str(trained.path), "out": str(out), "tasks": written, "without_face": faceless}


def _has_tracks(store: Store, task: str, split: Split, database: str) -> bool:
    own = store.index.database == store.databases.index(database)
    return bool((store.index.splits[task][own] == split).any())
