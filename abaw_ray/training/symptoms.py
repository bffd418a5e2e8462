"""What to tell of a training that went wrong without an error: losses that stay, heads that learn nothing, classes that
are never predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from abaw_ray.evaluation.evaluator import HEADLINE, Evaluation
from abaw_ray.evaluation.predictions import POOLED, pairs
from abaw_ray.tasks import targets
from abaw_ray.tasks.base import Decision, Task

FEWEST_EPOCHS = 3
"""Of fewer, losses say nothing."""
LEAST_FALL = 0.005
"""Share of its first value by which a loss that moves falls."""
LEAST_SPREAD = 1e-3
"""Share of the range that predicted values spread over, as standard deviation, unless they are all alike."""


def symptoms(losses: Sequence[Mapping[str, float]], evaluation: Evaluation, tasks: Mapping[str, Task]) -> list[str]:
    """Sentences about a training; none: nothing is striking.

    Args:
        losses: of every epoch, `total` and `<task>/<set>` -> mean.
        evaluation: on the validation split, of the best weights.
        tasks: of the network; what is no target may stay at chance.
    """
    found = [*_steady(losses)]
    for name in targets(tasks):
        task = tasks[name]
        scores = evaluation.scores[HEADLINE][POOLED].get(name)
        if scores is None:
            continue  # without a validation label
        true, predicted = pairs(evaluation.table, name)
        reached, chance = task.criterion(scores), chance_criterion(task, true)
        if chance is not None and reached <= chance:
            found.append(f"{name}: {reached:.3f} on validation is no better than {chance:.3f}, which is chance")
        found += _never_predicted(task, true, predicted, evaluation.decisions.get(name, {}))
        found += _constant(task, predicted)
    return found


def chance_criterion(task: Task, true: np.ndarray) -> float | None:
    """What a task's criterion is by chance, of labels (n, size); None: it does not say."""
    chance = task.chance(true)
    if "criterion" in chance:
        return chance["criterion"]
    return 0.0 if any(key.startswith("ccc_") for key in chance) else None  # the mean of CCCs


def _steady(losses: Sequence[Mapping[str, float]]) -> Iterator[str]:
    """Losses that never fell."""
    if len(losses) < FEWEST_EPOCHS:
        return
    for name, first in losses[0].items():
        later = [epoch[name] for epoch in losses[1:] if name in epoch]
        if later and first > 0 and min(later) > first * (1 - LEAST_FALL):
            yield f"loss {name}: {first:.4f} in the first epoch, never below {min(later):.4f} in {len(later)} more"


def _never_predicted(task: Task, true: np.ndarray, predicted: np.ndarray, decision: Decision) -> Iterator[str]:
    """Classes or attributes that labels have, and no prediction."""
    space = task.space
    if space.kind == "regression":
        return
    answers = task.answers(predicted, decision)
    if space.kind == "multiclass":
        labelled = np.bincount(np.nan_to_num(true, nan=-1.0).argmax(1), minlength=space.size)
        answered = np.bincount(answers[:, 0], minlength=space.size)
    else:
        labelled, answered = (true > 0.5).sum(0), answers.sum(0)
    missing = [f"{space.names[k]} ({labelled[k]} labels)" for k in np.flatnonzero((labelled > 0) & (answered == 0))]
    if missing:
        yield f"{space.name}: never predicted on validation: {', '.join(missing)}, of {len(true)} frames"


def _constant(task: Task, predicted: np.ndarray) -> Iterator[str]:
    """Dimensions with one value for all frames."""
    space = task.space
    if space.kind != "regression" or len(predicted) < 2:
        return
    spreads = predicted.std(0, dtype=np.float64)
    same = np.flatnonzero(spreads < LEAST_SPREAD * (space.high - space.low))
    for k in same:
        yield f"{space.name}: {space.names[k]} is {predicted[:, k].mean():.3f} for every frame of validation"
