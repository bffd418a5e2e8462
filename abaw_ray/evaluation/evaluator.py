"""Both protocols of evaluation, for CNNs and temporal networks.

`every_frame` is the competition's: every labelled frame of a video counts once, also where no face was found; there the
last prediction before it holds, and in a video without any face the prediction is zeros. `paper` is that of the paper's
tables: for a CNN the labelled frames that have a picture, for a temporal network the windows of 32 consecutive ones,
which leave out gaps and short videos.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from abaw_ray.augmentation import require_evaluation_views
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import StoreError
from abaw_ray.evaluation.fitting import fit_decisions
from abaw_ray.evaluation.frames import evaluation_frames, gap_free
from abaw_ray.evaluation.mixtures import Predicted, mixed, mixture
from abaw_ray.evaluation.predictions import (
    POOLED,
    Decisions,
    prediction_table,
    score_predictions,
    scores_by_database,
)
from abaw_ray.evaluation.smoothing import Smoothing
from abaw_ray.inference.features import FeatureSource
from abaw_ray.inference.model_info import DEVIATION
from abaw_ray.inference.predict import (
    Predictions,
    Progress,
    decoded_widths,
    is_regression,
    predict_rows,
    predict_windows,
    require_numbers,
    share_of,
)
from abaw_ray.models.kinds import streams_of
from abaw_ray.models.sets import FrameNetwork, Network
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.sampling.windows import covering_windows
from abaw_ray.spaces import Split
from abaw_ray.tasks.base import Task
from abaw_ray.world import World

logger = logging.getLogger(__name__)

T = TypeVar("T")

HEADLINE = "every_frame"
"""The protocol that models are selected by."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Args:
        table: predictions for the labelled frames, of the protocol `every_frame`.
        rows: (labelled frames,) int64 row of the store that each one's picture is in; -1: its video has none.
        scores: protocol -> scores (see `predictions.score_predictions`).
        decisions: that the scores were made with.
    """

    table: pa.Table
    rows: np.ndarray
    scores: dict[str, Any]
    decisions: Decisions

    @property
    def criterion(self) -> float:
        """What models are selected by."""
        return float(self.scores[HEADLINE][POOLED]["criterion"])

    def criteria(self, tasks: Mapping[str, Task]) -> dict[str, float]:
        """The part of it that is each task's, of those that are scored."""
        pooled = self.scores[HEADLINE][POOLED]
        return {name: float(task.criterion(pooled[name])) for name, task in tasks.items() if name in pooled}


class View(NamedTuple):
    """A view that faces are looked at in.

    Args:
        number: of the evaluation view.
        source: of its features; None: for CNNs.
    """

    number: int
    source: FeatureSource | None


class Evaluator:
    """Predicts and scores networks on one split of a store.

    Args:
        store: to evaluate on.
        tasks: the networks' tasks; those that the store has no label space for are left out.
        split: whose labels are the true ones.
        recipe: how to predict, from which views; for temporal networks the windows' length and databases.
        source: features of the CNN that temporal networks go on from; None evaluates CNNs.
        databases: names; None: for CNNs all, for temporal networks those of the recipe.
        others: streams that other networks take, network by network, whose predictions are put together with these.

    Photos that one of the networks has no stream of are left out, and a line of their number is logged; so are such
    frames of videos where the paper's protocol is concerned. That of every frame takes the picture before them.

    Raises:
        StoreError: the store has no label of the split, or none that the networks have a stream of.
        ConfigurationError: more views of each face than there are, or than there are features of.
    """

    def __init__(
        self,
        store: Store,
        tasks: Mapping[str, Task],
        split: Split,
        recipe: Recipe,
        source: FeatureSource | None = None,
        databases: Sequence[str] | None = None,
        others: Sequence[Sequence[str]] = (),
    ) -> None:
        tasks = {name: task for name, task in tasks.items() if name in store.spaces}
        num_views = recipe.train.test_views
        require_evaluation_views(store.image_size, num_views, recipe.augment)
        if source is not None:
            source.of_view(num_views - 1)  # refuses what it has no features of
        self.store, self.tasks, self.recipe, self.source = store, tasks, recipe, source
        self.is_temporal, self._split = source is not None, split
        if databases is None and source is not None:
            databases = recipe.temporal.databases
        self.streams = streams_of(recipe.model)
        takes = store.has_for_each([self.streams, *others])
        self.frames = evaluation_frames(store, list(tasks), split, databases, takes)
        self._windows = {}
        if source is not None:
            length = recipe.temporal.window
            self._windows = {t: gap_free(store, t, split, length, length, databases or []) for t in tasks}

    def verify(self) -> None:
        """Recomputes the hashes of the files that predictions are made from, and says what is left out.

        Raises:
            StoreError: one is damaged.
        """
        rows = self.frames.row[: self.frames.num_pictured]
        if self.source is not None:
            self.source.verify(rows)
        else:
            self.store.verify(rows, self.streams)
        if self.frames.num_left_out:
            logger.warning(
                "%s of %s photos with %s labels have none of what the networks take (%s); left out",
                f"{self.frames.num_left_out:,}",
                f"{self.frames.num_left_out + len(self.frames):,}",
                self._split.name.lower(),
                ", ".join(self.streams),
            )

    def predict(self, network: Network, world: World, progress: Progress | None = None) -> Predicted:
        """Predictions for both protocols, the same on every worker.

        Raises:
            StoreError: no frame has a picture.
        """
        if not self.frames.num_pictured:
            videos, split = ", ".join(self.frames.faceless), self._split.name.lower()
            raise StoreError(
                f"{self.store.path}: no {' or '.join(self.streams)} in any of the videos with {split} labels: {videos}"
            )
        return mixed(self._by_view(lambda view, show: self._predict_view(network, view, world, show), progress))

    def predict_frames(self, network: Network, world: World, progress: Progress | None = None) -> Predictions:
        """Predictions for every frame, the same on every worker.

        Those of a video without any picture are zeros, deviations too, so that they do not depend on what else is
        predicted.
        """
        return mixture(self._by_view(lambda view, show: self._predict_frames(network, view, world, show), progress))

    def without_features(self) -> Evaluator:
        """This one without the features it predicts from, which take memory: enough to score with."""
        scorer = copy(self)
        scorer.source = None
        return scorer

    def _by_view(self, predict: Callable[[View, Progress | None], T], progress: Progress | None) -> list[T]:
        """What is predicted from each view of the faces, one after the other."""
        count = self.recipe.train.test_views
        return [predict(self._view(number), share_of(progress, number, count)) for number in range(count)]

    def _view(self, number: int) -> View:
        return View(number, self.source.of_view(number) if self.source is not None else None)

    def _predict_view(self, network: Network, view: View, world: World, progress: Progress | None) -> Predicted:
        """Predictions for both protocols."""
        frames = self._predict_frames(network, view, world, progress)
        if not isinstance(network, TemporalNetwork):
            return Predicted(frames)
        return Predicted(frames, {t: self._predict_windows(network, view, t, world, progress) for t in self.tasks})

    def _predict_frames(self, network: Network, view: View, world: World, progress: Progress | None) -> Predictions:
        num_frames, num_pictured = len(self.frames), self.frames.num_pictured
        if not num_pictured:
            return {name: np.zeros((num_frames, k), np.float32) for name, k in decoded_widths(self.tasks).items()}
        predicted = self._predict_pictured(network, view, world, progress)
        return {name: np.pad(values, ((0, num_frames - num_pictured), (0, 0))) for name, values in predicted.items()}

    def items(self) -> tuple[np.ndarray, np.ndarray]:
        """What a network is asked about, so that it says something of every frame that has a picture.

        Returns:
            Rows (k,) of the store, of temporal networks windows (k, frames) of them; and the place of each of the
            frames (num_pictured,) int64 in these, flat.
        """
        shown = self.frames.row[: self.frames.num_pictured]
        if not self.is_temporal:
            return np.unique(shown, return_inverse=True)
        starts = self.frames.starts[self.frames.starts < len(shown)]
        windows, place = covering_windows(starts, len(shown), self.recipe.temporal.window)
        return shown[windows], place

    def _predict_pictured(self, network: Network, view: View, world: World, progress: Progress | None) -> Predictions:
        """Predictions for the frames of videos with a picture."""
        items, place = self.items()
        if isinstance(network, FrameNetwork):
            of_rows = predict_rows(network, self.tasks, self.store, items, self.recipe, world, progress, view.number)
            require_numbers("predictions", of_rows, items, self.store)
            return {task: values[place] for task, values in of_rows.items()}
        assert isinstance(network, TemporalNetwork), "a network of features"
        assert view.source is not None, "an evaluator of CNNs"
        covering = predict_windows(network, self.tasks, view.source, items, self.recipe, world, progress)
        of_frames = {name: values.reshape(-1, values.shape[-1])[place] for name, values in covering.items()}
        require_numbers("predictions", of_frames, items.reshape(-1)[place], self.store)
        return of_frames

    def _predict_windows(
        self, network: TemporalNetwork, view: View, task: str, world: World, progress: Progress | None
    ) -> np.ndarray:
        """Predictions for the frames of a task's gap-free windows, window by window."""
        assert view.source is not None, "an evaluator of CNNs"
        one = {task: self.tasks[task]}
        predicted = predict_windows(network, one, view.source, self._windows[task], self.recipe, world, progress)
        of_frames = predicted[task].reshape(-1, self.tasks[task].space.size)
        require_numbers("predictions", {task: of_frames}, self._windows[task].reshape(-1), self.store)
        return of_frames

    def score(
        self, predicted: Predicted, decisions: Decisions | None = None, smoothing: Smoothing | None = None
    ) -> Evaluation:
        """Scores of predictions.

        Args:
            predicted: by `predict`.
            decisions: of the tasks; None fits them on this split.
            smoothing: applied to every video's predictions first; windows are smoothed each by itself.

        Raises:
            StoreError: nothing can be scored.
        """
        table, rows = self.table(predicted.frames, smoothing)
        fitted = decisions if decisions is not None else fit_decisions(table, self.tasks)
        if predicted.windows is None:
            paper = scores_by_database(table.filter(table["seen"]), self.tasks, fitted)
        else:
            tables = {task: self._windows_table(task, v, smoothing) for task, v in predicted.windows.items()}
            paper = _merged([scores_by_database(t, {n: self.tasks[n]}, fitted) for n, t in tables.items()])
        scores = {HEADLINE: score_predictions(table, self.tasks, fitted), "paper": paper}
        return Evaluation(table, rows, scores, fitted)

    def labels(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Labels of the frames, task -> (frames, size), and which frames (frames,) bool have one: those of a table."""
        labels = {task: self.frames.labels(self.store, task, self._split) for task in self.tasks}
        return labels, np.any([np.isfinite(values).any(axis=1) for values in labels.values()], axis=0)

    def table(self, predictions: Predictions, smoothing: Smoothing | None = None) -> tuple[pa.Table, np.ndarray]:
        """Frames with a label and their predictions, and the rows of their pictures.

        Deviations are smoothed as predictions are: errors of neighbouring frames are much the same, and the deviation
        of a mean of equal errors is the mean of their deviations.
        """
        frames, store = self.frames, self.store
        if smoothing is not None:
            predictions = {name: smoothing.apply(values, frames.starts) for name, values in predictions.items()}
        labels, labelled = self.labels()
        video, row = frames.video()[labelled], frames.row[labelled]
        no_picture = row < 0
        deviations = {
            t: predictions[f"{t}{DEVIATION}"][labelled] for t, task in self.tasks.items() if is_regression(task)
        }
        for values in deviations.values():
            values[no_picture] = np.nan
        table = prediction_table(
            spaces=[task.space for task in self.tasks.values()],
            database=pa.array(store.databases, pa.string()).take(pa.array(frames.database[video])),
            video=pa.array(frames.names, pa.string()).take(pa.array(video)),
            frame=frames.frame[labelled],
            seen=frames.seen[labelled],
            labels={task: values[labelled] for task, values in labels.items()},
            predictions={task: predictions[task][labelled] for task in self.tasks},
            deviations=deviations,
            subject=store.index.subjects.take(pa.array(row, mask=no_picture)).cast(pa.string()),
        )
        return table, row

    def _windows_table(self, task: str, predictions: np.ndarray, smoothing: Smoothing | None) -> pa.Table:
        """Frames of the gap-free windows of a task, window by window, and their predictions."""
        rows, index = self._windows[task].reshape(-1), self.store.index
        if smoothing is not None and len(rows):
            predictions = smoothing.apply(predictions, np.arange(0, len(rows), self.recipe.temporal.window))
        return prediction_table(
            spaces=[self.tasks[task].space],
            database=pa.array(self.store.databases, pa.string()).take(pa.array(index.database[rows])),
            video=index.videos.take(pa.array(rows)).cast(pa.string()),
            frame=index.frame[rows],
            seen=np.ones(len(rows), bool),
            labels={task: self.store.labels(task).of(rows)[0]},
            predictions={task: predictions},
        )


def _merged(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Scores of one task each put together, database by database."""
    merged: dict[str, Any] = {}
    for by_database in scores:
        for database, values in by_database.items():
            parts = merged.setdefault(database, {})
            criterion = parts.pop("criterion", 0.0) + values["criterion"]
            parts |= values | {"criterion": criterion}
    return {name: merged[name] for name in sorted(merged, key=lambda n: (n == POOLED, n))}
