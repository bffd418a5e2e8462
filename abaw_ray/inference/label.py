"""Machine labels: a network's answers for the images of a store, kept in it as the labels of one more annotator."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from abaw_ray.blocks.annotators import AnnotatorManifest, LabelSource, earlier_annotator, write_annotator
from abaw_ray.blocks.labels import Labels
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import StoreError, UserError
from abaw_ray.inference.blockwise import ERROR, BlockJob, block_results
from abaw_ray.inference.predict import Predictions, Progress, predict_rows, require_numbers
from abaw_ray.inference.store_predictions import in_space, predict_stored, predictable_rows, shared_spaces
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.kinds import of_frames, streams_of
from abaw_ray.on_worker import on_worker
from abaw_ray.ray_session import data_context, ray_session
from abaw_ray.settings import changed_settings
from abaw_ray.spaces import Split
from abaw_ray.storage import AnyPath
from abaw_ray.tasks.base import Decision, Task
from abaw_ray.world import World, local_device

logger = logging.getLogger(__name__)

FIRST_ROW = "first_row"
PREDICTED = "predicted:"
"""Beginning of the columns of what workers give."""


def label_store(
    store_path: AnyPath | str,
    run: AnyPath | str,
    name: str,
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    use_gpu: bool | None = None,
    progress: Progress | None = None,
) -> AnnotatorManifest:
    """Adds a run's answers to a store, in `store.label_sets[task, name]`; no other labels are touched.

    Answers are what the network states of an image: its most probable class, the attributes that are present by the
    thresholds of its own validation, or values. Of a clip they are those of the mean of its frames' predictions. A row
    has the split of its label by the annotator without a name; without one, the last of train, validation, test that
    any of its labels has, or of its video's, so that nothing that is validated on is trained on. Rows of no split get
    no label: they may be leaks between splits whose labels were excluded.

    Frames are asked by Ray Data, a network a GPU or CPU; temporal networks go over the videos of `temporal.databases`.
    The same run, store and settings give the same bytes on the same kind of device, and are not computed again.

    Args:
        store_path: a store of the images' size the network was trained with.
        run: a finished run, or a checkpoint, with tasks that the store has label spaces of.
        name: of the annotator: letters, digits, dots, hyphens and underscores.
        change: applied to the checkpoint's recipe, whose zoom, batch size and precision count.
        use_gpu: one GPU a network; None: if the cluster has any.
        progress: called with images done and images in all.

    Returns:
        What was added; logged is which of the run's tasks and of the store's images were left out.

    Raises:
        ConfigurationError: a name that is taken, or cannot be one; tasks or images that do not fit.
        MissingInputError, StoreError: no such run or store, or it is damaged.
    """
    trained, store = checkpoint.load(run), Store(store_path)
    trained.require_samples(store)
    spaces, recipe = shared_spaces(trained, store), change(trained.recipe)
    source = run_source(trained, recipe)
    found = earlier_annotator(store, name, source)
    if found is not None:
        return found
    rows = predictable_rows(trained, store, recipe)
    if len(rows) < len(store.index):
        logger.warning(
            "%s of %s images are of no video it was asked for, or have nothing that the network takes",
            len(store.index) - len(rows),
            len(store.index),
        )
    if of_frames(trained.description.kind):
        predicted = _predict_on_ray(trained, store, recipe, use_gpu, progress)
    else:
        arguments = trained.path.resolve(), store.path.resolve(), rows, recipe
        predicted = on_worker(predict_stored, *arguments, progress=progress)
    tasks, decisions, labels = trained.tasks(recipe), trained.description.decisions, {}
    for task, own in spaces.items():
        places, values = rows_or_clips(store.labels(task).clip, rows, predicted[task])
        answers = answer_vectors(tasks[task], values, decisions.get(task, {}))
        splits = splits_of_answers(store, task)[places]
        has = splits != Split.NONE
        if not has.all():
            logger.warning("%s: %s of %s are in no split; left out", task, f"{(~has).sum():,}", f"{len(has):,}")
        if not has.any():
            raise StoreError(f"{store.path}: {task}: nothing to label is in a split, as train")
        labels[task] = Labels(places[has], in_space(answers[has], own, store.spaces[task]), splits[has])
    return write_annotator(store, name, source, labels, tuple(trained.description.streams))


def run_source(trained: Checkpoint, recipe: Recipe) -> LabelSource:
    """Where the labels of a checkpoint come from that predicts as `recipe` says."""
    return LabelSource(
        kind="run",
        name="/".join(part for part in (trained.path.resolve().parent.name, trained.path.name) if part),
        sha256=trained.description.hash(),
        settings={"weights_sha256": trained.weights_sha256(), "changed": changed_settings(recipe, trained.recipe)},
    )


def answer_vectors(task: Task, predictions: np.ndarray, decision: Decision) -> np.ndarray:
    """Answers as label vectors (n, size) float32 of a task's own space, from its predictions (n, size)."""
    space, answers = task.space, task.answers(predictions, decision)
    if space.kind == "multiclass":
        return np.eye(space.size, dtype=np.float32)[answers[:, 0]]
    return answers.astype(np.float32).clip(*((space.low, space.high) if space.kind == "regression" else (0, 1)))


def splits_of_answers(store: Store, task: str) -> np.ndarray:
    """Split (n,) int8 that a machine label has, of every row, or of every video where labels are of clips.

    NONE: nothing that belongs together with it has a label.
    """
    video = _together(store)
    latest = np.zeros(max(len(store.videos), video.max(initial=-1) + 1), np.int8)
    every, unseen = np.arange(len(video)), np.arange(len(store.unseen))
    for space in store.spaces:
        np.maximum.at(latest, video, store.labels(space).splits_of(every))
        np.maximum.at(latest, store.unseen.video, store.unseen.labels(space).splits_of(unseen))
    labels = store.labels(task)
    if labels.clip is None:
        own, others = labels.splits_of(every), latest[video]
    else:
        own, others = labels.of_clips(np.arange(len(store.videos)))[1], np.zeros(len(store.videos), np.int8)
        of_clips = labels.clip >= 0
        np.maximum.at(others, labels.clip[of_clips], latest[video[of_clips]])
    return np.where(own == Split.NONE, others, own)


def _together(store: Store) -> np.ndarray:
    """A number for each row (n,), the same for the frames of one video; faces of photos are each by themselves."""
    video = store.videos.of_rows(len(store.index)).astype(np.int64)
    single = ~store.sequential[store.index.database]
    video[single] = len(store.videos) + np.arange(single.sum())
    return video


def rows_or_clips(clip: np.ndarray | None, rows: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n,) and values (n, size) as they are, or places of clips (k,), ascending, and their mean values (k, size).

    Args:
        clip: as of `LabelSet`.
        rows: of the index.
        values: of the rows.
    """
    if clip is None:
        return rows, values
    of_clips = clip[rows] >= 0
    clips, place = np.unique(clip[rows[of_clips]], return_inverse=True)
    sums = np.zeros((len(clips), values.shape[1]))
    np.add.at(sums, place, values[of_clips])
    return clips.astype(np.int64), (sums / np.bincount(place, minlength=len(clips))[:, None]).astype(np.float32)


def _predict_on_ray(
    trained: Checkpoint, store: Store, recipe: Recipe, use_gpu: bool | None, progress: Progress | None
) -> Predictions:
    """Predictions for all rows of the index that have what the network takes, block by block."""
    jobs = []
    seen = store.has_any(streams_of(trained.recipe.model))
    for block, entry in enumerate(store.manifest.blocks):
        rows = store.index.rows_of_block(block)
        if seen[rows].any():
            jobs.append(BlockJob(entry.path, rows.start, rows.stop - rows.start, [], ""))
    parts: dict[int, Mapping[str, Any]] = {}
    done = 0
    arguments = {"store": str(store.path.resolve()), "run": str(trained.path.resolve()), "recipe": recipe}
    with ray_session(), data_context():
        for result in block_results(jobs, LabellingWorker, arguments, use_gpu):
            if result[ERROR]:
                raise UserError(result[ERROR])
            parts[int(result[FIRST_ROW])] = result
            done += int(result["num_rows"])
            if progress is not None:
                progress(done, len(store.index))
    ordered = [parts[first] for first in sorted(parts)]
    names = [column.removeprefix(PREDICTED) for column in ordered[0] if column.startswith(PREDICTED)]
    return {name: np.concatenate([part[f"{PREDICTED}{name}"] for part in ordered]) for name in names}


class LabellingWorker:
    """A network of frames in an actor; predicts one block a call."""

    def __init__(self, store: str, run: str, recipe: Recipe) -> None:
        torch.set_num_threads(1)
        trained, self._recipe = checkpoint.load(run), recipe
        self._store, self._tasks = Store(store), trained.tasks(recipe)
        self._network, self._world = trained.frame_network(local_device()), World(device=local_device())
        self._seen = self._store.has_any(self._network.streams)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        first, num_rows = int(batch["first_row"][0]), int(batch["num_rows"][0])
        rows = first + np.flatnonzero(self._seen[first : first + num_rows])
        predicted: Predictions = {}
        error = ""
        try:
            self._store.verify(rows, self._network.streams)
            predicted = predict_rows(self._network, self._tasks, self._store, rows, self._recipe, self._world)
            require_numbers("predictions", predicted, rows, self._store)
        except UserError as raised:
            error = str(raised)  # of an error that is raised, Ray Data gives a text of its own
        columns = {f"{PREDICTED}{name}": [predicted[name]] for name in self._tasks if name in predicted}
        return {FIRST_ROW: [first], "num_rows": [num_rows], ERROR: [error], **columns}
