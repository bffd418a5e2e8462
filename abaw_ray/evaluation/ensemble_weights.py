"""Weights of an ensemble's members, fitted on validation frames task by task.

Members are selected greedily with replacement (Caruana et al., "Ensemble selection from libraries of models", ICML
2004): beginning with the best one, in each round that member is added, perhaps again, with which the mean of all that
were added has the best criterion. A member's weight is its share of those that were added up to the best round. What
is optimised is what models are selected by, so that it is the same for every kind of task; a member that improves
nothing has no weight, and of several choices that are as good the first is taken, members by themselves best first.
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
"""Of additions; weights are multiples of a fraction that is no smaller."""


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
    alone = [criterion(prediction) for prediction in predictions]
    order = sorted(range(len(predictions)), key=lambda member: -alone[member])
    counts = np.zeros(len(predictions))
    counts[order[0]] = 1
    best, weights = alone[order[0]], counts
    total = predictions[order[0]].astype(np.float64)
    for number in range(2, NUM_ROUNDS + 1):
        reached = [criterion(((total + predictions[m]) / number).astype(np.float32)) for m in order]
        place = int(np.argmax(reached))  # the first of equal ones
        total += predictions[order[place]]
        counts = counts + np.eye(len(predictions))[order[place]]
        if reached[place] > best:
            best, weights = reached[place], counts
    return [float(weight) for weight in weights / weights.sum()]


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
