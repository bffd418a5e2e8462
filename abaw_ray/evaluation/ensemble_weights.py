"""Weights of an ensemble's members, fitted on validation frames task by task.

Members are selected greedily with replacement (Caruana et al., "Ensemble selection from libraries of models", ICML
2004): from the best ones, as many as are best together, that member is added again and again, perhaps once more, with
which the mean of all that were added has the best criterion, as long as it gets better. A member's weight is its share
of those that were added. What is optimised is what models are selected by, whatever the kind of task. Scores of few
videos are noisy, which is why selection ends with the first round that brings nothing: of two good members and a
useless one, on 500 generated frames, rounds that go on give the useless one a weight in half of the cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from abaw_ray.evaluation.fitting import in_first_part
from abaw_ray.evaluation.groups import groups_of
from abaw_ray.evaluation.predictions import labelled, pairs
from abaw_ray.tasks.base import Decision, Task

NUM_ROUNDS = 20
"""Of additions at most."""

LEAST_GAIN = 1e-3
"""Of the criterion in a round, without which it is the last."""


@dataclass(frozen=True)
class FittedWeights:
    """Of one task.

    Args:
        weights: of the members, in their order.
        num_fit: frames that they were fitted on; 0: there was but one person, video or photo, and they are equal.
        num_scored: other ones.
        members: criterion of each member on those.
        equal: criterion of the ensemble with equal weights on those.
        fitted: criterion with the fitted weights.
    """

    weights: list[float]
    num_fit: int
    num_scored: int
    members: list[float]
    equal: float
    fitted: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def fit_weights(tables: Sequence[pa.Table], tasks: Mapping[str, Task]) -> dict[str, FittedWeights]:
    """Weights for each task that frames have a label of.

    They are fitted on the first of two parts of the groups of frames, as calibration is (see `fitting.fit_decisions`),
    and scored on the other, with thresholds that are of the first part, too.

    Args:
        tables: of each member's predictions (see `predictions.prediction_schema`), of the same frames.
        tasks: the members'.
    """
    group, names = groups_of(tables[0])
    found = {}
    for name, task in tasks.items():
        chosen = labelled(tables[0], name)
        if chosen.any():
            target = pairs(tables[0], name)[0]
            predictions = [pairs(table, name)[1] for table in tables]
            found[name] = _fitted(task, target, predictions, in_first_part(group[chosen], names))
    return found


def equal_weights(num_members: int) -> list[float]:
    """Of an ensemble."""
    return [1 / num_members] * num_members


def select(predictions: Sequence[np.ndarray], criterion: Callable[[np.ndarray], float]) -> list[float]:
    """Weights (members,) of greedy selection with replacement.

    Args:
        predictions: of each member, arrays of one shape.
        criterion: of predictions; more is better.
    """

    def better(candidates: np.ndarray, best: float) -> tuple[np.ndarray, float] | None:
        """The first of the best candidates, numbers of additions (candidates, members), if it is better than `best`."""
        reached = [criterion(_mean(predictions, counts)) for counts in candidates]
        place = int(np.argmax(reached))
        return (candidates[place], reached[place]) if reached[place] > best + LEAST_GAIN else None

    alone = [criterion(prediction) for prediction in predictions]
    order = sorted(range(len(predictions)), key=lambda member: -alone[member])
    added = np.eye(len(predictions))[order]
    best = alone[order[0]]
    counts, best = better(added.cumsum(axis=0), best) or (added[0], best)
    for _ in range(NUM_ROUNDS):
        found = better(counts + added, best)
        if found is None:
            break
        counts, best = found
    return [float(weight) for weight in counts / counts.sum()]


def _fitted(task: Task, target: np.ndarray, predictions: Sequence[np.ndarray], first: np.ndarray) -> FittedWeights:
    """Of labels and each member's predictions (n, size), fitted on the frames `first` (n,) bool."""

    def criterion_of_first(prediction: np.ndarray) -> float:
        return _criterion(task, target[first], prediction, task.fit_decision(target[first], prediction))

    def criterion_of_rest(prediction: np.ndarray) -> float:
        decision = task.fit_decision(target[first], prediction[first]) if first.any() else {}
        return _criterion(task, target[~first], prediction[~first], decision)

    weights = equal = equal_weights(len(predictions))
    if first.any():
        weights = select([prediction[first] for prediction in predictions], criterion_of_first)
    return FittedWeights(
        weights=weights,
        num_fit=int(first.sum()),
        num_scored=int((~first).sum()),
        members=[criterion_of_rest(prediction) for prediction in predictions],
        equal=criterion_of_rest(_mean(predictions, equal)),
        fitted=criterion_of_rest(_mean(predictions, weights)),
    )


def _criterion(task: Task, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> float:
    return task.criterion(task.score(target, prediction, decision))


def _mean(predictions: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    return np.average(predictions, axis=0, weights=weights).astype(np.float32)
