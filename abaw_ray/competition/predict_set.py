"""Entries of the competition: text files with the answers of a network for the frames of videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from abaw_ray.blocks.reader import Store
from abaw_ray.competition import COMPETITION_DATABASE, EntryEdition
from abaw_ray.competition.write_entry import TrackAnswers, entry_edition, require_names, write_images, write_tracks
from abaw_ray.config import Recipe
from abaw_ray.errors import StoreError
from abaw_ray.evaluation.decisions import decide
from abaw_ray.evaluation.ensembles import Member, Runs, ask_each, load_members, members_of, paths_of
from abaw_ray.evaluation.evaluator import Evaluator
from abaw_ray.evaluation.frames import Frames, evaluation_frames
from abaw_ray.evaluation.mixtures import Weights, mixture
from abaw_ray.evaluation.smoothing import parse_smoothing
from abaw_ray.inference.predict import Predictions, Progress
from abaw_ray.models.kinds import streams_of
from abaw_ray.models.sets import Network
from abaw_ray.on_worker import on_worker
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.storage import AnyPath
from abaw_ray.tasks.base import Decision, Task
from abaw_ray.world import World, local_device


def predict_set(
    run: Runs,
    store_path: AnyPath | str,
    out: AnyPath,
    split: Split = Split.TEST,
    database: str = COMPETITION_DATABASE,
    smooth: str | None = None,
    decisions: AnyPath | None = None,
    features: Sequence[AnyPath] = (),
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    progress: Progress | None = None,
    edition: EntryEdition | None = None,
) -> dict[str, Any]:
    """Writes an entry in the competition's format, for every track of a split.

    abaw2: `out`/<task's folder>/<track>.txt. abaw3: `out`/EXPR.txt, VA.txt and AU.txt. mtl: `out`/MTL.txt, with the
    images that the split lists. Every frame of a video has a row, but of mtl: where no face was found, the last
    prediction before it is repeated. A video without any face has the answer to zeros in every row: Neutral, valence
    and arousal 0, no action unit.

    Args:
        run: a finished run, or a checkpoint; several are an ensemble, whose answers are those of the mean of their
            predictions (see `evaluation.mixtures`).
        store_path: a store of the images' size the network was trained with.
        out: a folder, new or empty.
        split: whose tracks.
        database: whose tracks; a database of videos.
        smooth: smoothing over time as `smoothing.parse_smoothing` takes it. Thresholds are then those that the run's
            validation gave, which are of predictions as they are.
        decisions: smoothing, thresholds and an ensemble's weights of an evaluation on validation, instead: its file or
            folder.
        features: features of temporal networks' CNNs on this store, in their order; none: computed from the images.
        change: applied to the checkpoints' recipes.
        progress: shows how far it is.
        edition: the format; None: that of the database.

    Returns:
        `checkpoint`, `out`; `tasks`, the number of files and frames of each (mtl: of the file); `without_face`, the
        names of the tracks of each without any face; `without_video`, where `prepare` found no video of a test track,
        whose rows therefore end with its last face, or are none.

    Raises:
        ConfigurationError: the folder is not empty, another process writes to it, the database holds no videos,
            decisions beside a smoothing or of another network, members of other tasks than the first, or an edition
            that has not the database's tasks or classes.
        MissingInputError, StoreError: no such run or store, or no track of that split.
    """
    trained, store = load_members(run), Store(store_path)
    for member in trained:
        member.require(store)
    folder = OwnedFolder(out, "an unfinished entry")
    folder.check()
    if database not in store.databases or not store.sequential[store.databases.index(database)]:
        raise StoreError(f"{store.path}: no database of videos called {database}")
    recipes = [change(member.recipe) for member in trained]
    decided = decide(trained, recipes, decisions, smooth)
    smoothing = parse_smoothing(decided.smoothing) if decided.smoothing is not None else None
    every_task = trained[0].tasks(recipes[0])
    tasks = {name: task for name, task in every_task.items() if _has_tracks(store, name, split, database)}
    if not tasks:
        raise StoreError(f"{store.path}: {database} has no {split.name.lower()} tracks of the run's tasks")
    entry = store.manifest.databases[store.databases.index(database)]
    own_spaces = {space.name: space for space in entry.spaces}
    edition = edition or entry_edition(entry)
    require_names(edition, [own_spaces[name] for name in tasks])
    asked = store.path.resolve(), split, database, list(tasks), decided.weights
    predictions = on_worker(_predicted, members_of(trained, recipes, features), *asked, progress=progress)
    takes = store.has_for_each([streams_of(recipe.model) for recipe in recipes])
    frames = evaluation_frames(store, list(tasks), split, [database], takes)
    if smoothing is not None:
        predictions = {name: smoothing.apply(values, frames.starts) for name, values in predictions.items()}
    own_frames = {name: evaluation_frames(store, [name], split, [database], takes) for name in tasks}
    answers: TrackAnswers = {}
    for name, task in tasks.items():
        of_task = _answers(task, own_spaces[name], predictions[name], decided.decisions.get(name, {}))
        parts = dict(zip(frames.names, np.split(of_task, frames.starts[1:]), strict=True))
        answers[name] = {track: parts[track] for track in (frames if edition == "mtl" else own_frames[name]).names}
    with folder.held(fresh=True, whole=True):
        if edition == "abaw2":
            written = write_tracks(out, answers)
        else:
            listed = _listed(frames, store, list(tasks), split) if edition == "mtl" else None
            written = write_images(out, edition, answers, listed)
    return {
        "checkpoint": paths_of(trained),
        "out": str(out),
        "tasks": written,
        "without_face": {name: own.faceless for name, own in own_frames.items()},
        "without_video": _without_video(store, database) if split == Split.TEST else [],
    }


def _listed(frames: Frames, store: Store, tasks: Sequence[str], split: Split) -> dict[str, np.ndarray]:
    """Track -> its frames (k,) that have a label of any of the tasks in the split."""
    found = np.zeros(len(frames), bool)
    stored, unseen = np.flatnonzero(frames.own >= 0), np.flatnonzero(frames.unseen >= 0)
    for task in tasks:
        found[stored] |= store.labels(task).splits_of(frames.own[stored]) == split
        found[unseen] |= store.unseen.labels(task).splits_of(frames.unseen[unseen]) == split
    of_tracks = zip(np.split(frames.frame, frames.starts[1:]), np.split(found, frames.starts[1:]), strict=True)
    return {track: frame[own] for track, (frame, own) in zip(frames.names, of_tracks, strict=True)}


def _answers(task: Task, own: LabelSpace, prediction: np.ndarray, decision: Decision) -> np.ndarray:
    """Answers to predictions (n, label size) among the names that the database has."""
    places = task.space.places(own.names)
    if own.kind == "multiclass":
        return task.answers(prediction[:, places], decision)
    return task.answers(prediction, decision)[:, places]


def _predicted(
    members: Sequence[Member],
    store_path: AnyPath,
    split: Split,
    database: str,
    names: Sequence[str],
    weights: Weights | None,
    progress: Progress | None,
) -> Predictions:
    """Predictions of the tasks `names` for every frame of the tracks of any of them."""
    world = World(device=local_device())

    def ask(evaluator: Evaluator, network: Network, show: Progress | None) -> Predictions:
        return evaluator.predict_frames(network, world, show)

    return mixture(ask_each(members, Store(store_path), split, ask, [database], names, progress), weights)


def _has_tracks(store: Store, task: str, split: Split, database: str) -> bool:
    if task not in store.spaces:
        return False
    code = store.databases.index(database)
    with_face = store.index.database[store.rows_with(task, split)]
    without_image = store.videos.database[store.unseen.video[store.unseen.labels(task).rows_with(split)]]
    return bool((with_face == code).any() or (without_image == code).any())


def _without_video(store: Store, database: str) -> list[str]:
    """What the manifest says of test tracks whose video was not found: some examples, and how many there are."""
    problem = store.manifest.databases[store.databases.index(database)].problems.get("video_not_found")
    if problem is None:
        return []
    more = problem.count - len(problem.examples)
    return [*problem.examples, *([f"and {more:,} more"] if more else [])]
