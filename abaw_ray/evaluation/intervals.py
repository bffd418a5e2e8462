"""Bootstrap intervals: how far scores would be off with other people, videos or photos of the same kind.

Frames of a video are much alike, so that whole groups of frames are drawn, with replacement (cluster bootstrap; Davison
& Hinkley, "Bootstrap methods and their application", 1997, chapters 3 and 5): 1,000 times as many groups as there are,
and of the 1,000 scores the middle 95 %.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abaw_ray.evaluation.groups import groups_of
from abaw_ray.evaluation.predictions import POOLED, Decisions, labelled, pairs
from abaw_ray.tasks.base import Task
from abaw_ray.tasks.sums import Scores, Summed, Weighed

logger = logging.getLogger(__name__)

NUM_RESAMPLES = 1_000
LEVEL = 0.95
SEED = 0
MAX_GROUPS = 2_000
"""More are dealt into as many at random: independent groups that are drawn together leave the intervals as wide."""

MAX_WEIGHTS = 2_000_000
"""Numbers of a matrix of how often draws have frames."""

SAME = 1e-6
"""How far sums' scores may be from a task's own to be the same."""

Interval = list[float]
"""Least and greatest."""


class Resampling:
    """Draws of groups, always the same.

    Args:
        group: (n,) group of each frame; at least two differ.
    """

    def __init__(self, group: np.ndarray) -> None:
        present, place = np.unique(group, return_inverse=True)
        rng = np.random.default_rng(SEED)
        self.num_parts = min(len(present), MAX_GROUPS)
        self.part = (rng.permutation(len(present)) % self.num_parts)[place]
        """(n,) which of `num_parts` each frame is in."""
        equal = np.full(self.num_parts, 1 / self.num_parts)
        self._weights = rng.multinomial(self.num_parts, equal, NUM_RESAMPLES).astype(np.float64)

    def weights(self, part: np.ndarray) -> Iterator[np.ndarray]:
        """How often each draw has each frame, (n, draws) for some of the draws after the other.

        Args:
            part: (n,) which part each frame is in.
        """
        step = max(1, MAX_WEIGHTS // max(1, len(part)))
        for start in range(0, NUM_RESAMPLES, step):
            yield np.ascontiguousarray(self._weights[start : start + step].T)[part]

    def sums(self, sums: np.ndarray) -> np.ndarray:
        """Sums (resamples, k) of each draw, from those of the parts (parts, k)."""
        return self._weights @ sums


def interval(values: np.ndarray) -> Interval | None:
    """The middle 95 % of a score's resamples (resamples,); None: none of them is a number."""
    numbers = values[np.isfinite(values)]
    if not len(numbers):
        return None
    return np.quantile(numbers, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()


def score_intervals(
    table: pa.Table, tasks: Mapping[str, Task], decisions: Decisions, scores: Mapping[str, Any]
) -> dict[str, Any]:
    """Intervals of the scores of `predictions.scores_by_database`.

    Args:
        table: of predictions, that was scored.
        tasks: that were scored.
        decisions: of the tasks.
        scores: database -> scores.

    Returns:
        Database -> task -> key -> [low, high], and `criterion` -> [low, high], nested as the scores. A database whose
        frames are of one group has none. Nor have scores that follow neither from sums over frames nor from their
        weights (`tasks.sums`), nor a criterion that one is part of; a warning names the task.
    """
    group, _ = groups_of(table)
    unsummed: set[str] = set()
    found: dict[str, Any] = {}
    for database, of_database in scores.items():
        chosen = np.ones(len(table), bool)
        if database != POOLED:
            chosen = pc.equal(table["database"], database).to_numpy(zero_copy_only=False)
        if len(np.unique(group[chosen])) > 1:
            rows = table.filter(pa.array(chosen))
            found[database] = _of_database(rows, group[chosen], tasks, decisions, of_database, unsummed)
    for name in sorted(unsummed):
        logger.warning("%s: scores that are no sums over frames (see abaw_ray.tasks.sums) have no intervals", name)
    return found


def _of_database(
    table: pa.Table,
    group: np.ndarray,
    tasks: Mapping[str, Task],
    decisions: Decisions,
    scores: Mapping[str, Any],
    unsummed: set[str],
) -> dict[str, Any]:
    """Intervals of the scores of a table; names of tasks with a number that is no sum are added to `unsummed`."""
    draws = Resampling(group)
    found: dict[str, Any] = {}
    criteria: list[np.ndarray | None] = []
    for name, task in tasks.items():
        if name not in scores:
            continue
        resampled = _resampled(table, task, decisions.get(name, {}), scores[name], draws)
        has_criterion = resampled is not None and resampled.keys() >= scores[name].keys() & {"criterion"}
        if resampled is not None:
            found[name] = _intervals(resampled)
        if not has_criterion:
            unsummed.add(name)
        if task.role == "target":
            criteria.append(_criteria(task, resampled) if resampled is not None and has_criterion else None)
    of_all = [values for values in criteria if values is not None]
    if of_all and len(of_all) == len(criteria):
        found |= _intervals({"criterion": np.sum(of_all, axis=0)})
    return found


def _resampled(
    table: pa.Table, task: Task, decision: Mapping[str, Any], scores: Mapping[str, Any], draws: Resampling
) -> Scores | None:
    """Scores of each draw; None: the task has no sums, or others than those of its scores."""
    if not isinstance(task, Summed):
        return None
    name = task.space.name
    true, predicted = pairs(table, name)
    part = draws.part[labelled(table, name)]
    sums = task.score_sums(true, predicted, decision, part, draws.num_parts)
    if not _agree(task.scores_of_sums(sums.sum(0)), scores):
        return None
    resampled = task.scores_of_sums(draws.sums(sums))
    if isinstance(task, Weighed):
        of_draws = [task.scores_of_weights(true, predicted, decision, weights) for weights in draws.weights(part)]
        resampled |= _concatenated(of_draws)
    return {key: values for key, values in resampled.items() if key in scores}


def _concatenated(parts: Sequence[Scores]) -> Scores:
    """Scores of some draws after the other, as those of all; nested as they are."""
    return {
        key: _concatenated([part[key] for part in parts])
        if isinstance(value, Mapping)
        else np.concatenate([part[key] for part in parts])
        for key, value in parts[0].items()
    }


def _agree(of_sums: Mapping[str, Any], scores: Mapping[str, Any]) -> bool:
    """Whether numbers of both are the same: a task that overrides its scores may have inherited its sums."""
    for key in of_sums.keys() & scores.keys():
        one, other = of_sums[key], scores[key]
        if isinstance(other, Mapping):
            if one.keys() != other.keys() or not _agree(one, other):
                return False
        elif not abs(float(one) - other) <= SAME * max(1.0, abs(other)):
            return False
    return True


def _intervals(resampled: Mapping[str, Any]) -> dict[str, Any]:
    """Key -> interval of (resamples,) values, where there is one; nested as they are."""
    found: dict[str, Any] = {}
    for key, values in resampled.items():
        of_key = _intervals(values) if isinstance(values, Mapping) else interval(values)
        if of_key is not None:
            found[key] = of_key
    return found


def _criteria(task: Task, resampled: Mapping[str, Any]) -> np.ndarray:
    """The task's part of the criterion (resamples,)."""
    numbers = {key: values.tolist() for key, values in resampled.items() if not isinstance(values, Mapping)}
    return np.array([task.criterion({k: v[draw] for k, v in numbers.items()}) for draw in range(NUM_RESAMPLES)])
