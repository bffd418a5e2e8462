"""Scores of whole videos, whose frames have one label, and of groups of frames and videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.evaluation.evaluator import HEADLINE, Evaluation
from abaw_ray.evaluation.groups import names_in_space, names_of_streams
from abaw_ray.evaluation.predictions import (
    PREDICTED,
    labelled,
    prediction_table,
    score,
    scores_by_database,
    vectors,
)
from abaw_ray.tasks.base import Task

CLIPS = "clips"
"""The protocol of whole videos: the mean of the predictions of a video's labelled frames counts once, where all of them
have the same label."""

STREAMS = "streams"
"""As what frames are grouped by: which of the network's streams they have."""


@dataclass(frozen=True)
class Parts:
    """What an evaluation is asked beside its scores.

    Args:
        clips: whether videos are scored whole.
        by: what frames are grouped by: multiclass label spaces of the store, or `streams`.
    """

    clips: bool = False
    by: tuple[str, ...] = ()

    def require(self, store: Store) -> None:
        """That a store has what frames are to be grouped by.

        Raises:
            ConfigurationError: it has not.
        """
        known = [STREAMS, *(name for name, space in store.spaces.items() if space.kind == "multiclass")]
        for name in self.by:
            if name not in known:
                raise ConfigurationError(f"--by {name}: expected any of {', '.join(known)}")


def clip_table(table: pa.Table, tasks: Mapping[str, Task]) -> pa.Table:
    """The videos of a table of `predictions.prediction_schema`, one row each, whose label all of its frames share.

    A video's prediction in a task is the mean of those of its labelled frames. Where their labels differ it has none.
    """
    keys = pa.table({name: table[name] for name in ("database", "video")}).append_column(
        "place", pa.array(np.arange(len(table)))
    )
    groups = keys.group_by(["database", "video"], use_threads=False).aggregate([("place", "list")])
    database, video = (groups[name].combine_chunks() for name in ("database", "video"))
    clip = np.empty(len(table), np.int64)
    for number, places in enumerate(groups["place_list"].to_pylist()):
        clip[places] = number
    labels, predictions = {}, {}
    for name in tasks:
        labels[name], predictions[name] = _of_clips(table, name, clip, len(groups))
    return prediction_table(
        spaces=[task.space for task in tasks.values()],
        database=database,
        video=video,
        frame=np.zeros(len(groups), np.int32),
        seen=np.ones(len(groups), bool),
        labels=labels,
        predictions=predictions,
    )


def _of_clips(table: pa.Table, task: str, clip: np.ndarray, num_clips: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions (clips, size) of a task; NaN where the labelled frames' labels differ, or there is none.

    Args:
        table: of frames.
        task: name.
        clip: (frames,) place of each frame's clip.
        num_clips: number of clips.
    """
    chosen = np.flatnonzero(labelled(table, task))
    true, predicted, of = vectors(table, task)[chosen], vectors(table, f"{PREDICTED}{task}")[chosen], clip[chosen]
    size = true.shape[1]
    counts = np.bincount(of, minlength=num_clips)[:, None]
    sums = np.zeros((num_clips, size))
    np.add.at(sums, of, predicted)
    first = np.full((num_clips, size), np.nan, np.float32)
    first[of[::-1]] = true[::-1]
    same = ((true == first[of]) | (np.isnan(true) & np.isnan(first[of]))).all(axis=1)
    several = np.bincount(of[~same], minlength=num_clips) > 0
    first[several] = np.nan
    with np.errstate(invalid="ignore"):
        means = sums / counts
    return first, np.where(several[:, None], np.nan, means).astype(np.float32)


def score_parts(
    evaluation: Evaluation, store: Store, tasks: Mapping[str, Task], streams: Sequence[str], parts: Parts
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores of whole videos, and those of groups.

    Args:
        evaluation: of frames.
        store: that it is of.
        tasks: that are scored.
        streams: of the network.
        parts: what is asked.

    Returns:
        Scores of the protocol `clips` as of `predictions.scores_by_database`, empty unless asked for. What frames are
        grouped by -> `groups`: name -> `num_frames`, `num_clips` (those with one label in any task) and `scores` by
        protocol; and `num_unknown`, frames of no group. A group without anything to score is left out.

    Raises:
        StoreError: videos are asked for, and none has one label.
    """
    table = evaluation.table
    sequential = [name for name, is_video in zip(store.databases, store.sequential, strict=True) if is_video]
    is_video = pc.is_in(table["database"], pa.array(sequential, pa.string())).combine_chunks()
    of_clips: dict[str, Any] = {}
    if parts.clips:
        videos = clip_table(table.filter(is_video), tasks)
        of_clips = scores_by_database(videos, tasks, evaluation.decisions)
        if not of_clips:
            raise StoreError(f"{store.path}: no video has one label for all its frames, by which to score it whole")
    found = {}
    for by in parts.by:
        rows = evaluation.rows
        names = names_of_streams(store, streams, rows) if by == STREAMS else names_in_space(store, by, rows)
        groups = {}
        for name in sorted({name for name in names if name is not None}):
            member = pa.array([own == name for own in names])
            own = table.filter(member)
            scores = {HEADLINE: score(own, tasks, evaluation.decisions)}
            num_clips = 0
            if parts.clips:
                videos = clip_table(own.filter(is_video.filter(member)), tasks)
                scores[CLIPS] = score(videos, tasks, evaluation.decisions)
                num_clips = int(np.any([labelled(videos, task) for task in tasks], axis=0).sum())
            scores = {protocol: values for protocol, values in scores.items() if values}
            if scores:
                groups[name] = {"num_frames": len(own), "num_clips": num_clips, "scores": scores}
        found[by] = {"num_unknown": names.count(None), "groups": groups}
    return of_clips, found
