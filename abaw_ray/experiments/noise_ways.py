"""Ways to learn from the noisy labels of three annotators, as changes of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from abaw_ray.config import LabelSetsConfig, Recipe

EXPRESSION, VALENCE_AROUSAL = "expression", "valence_arousal"

ONE = "one"
"""Learns from the first annotator alone: what the others are compared with."""


@dataclass(frozen=True)
class Way:
    """A way to learn.

    Args:
        title: of its rows.
        objectives: task -> its objective of label sets.
        annotators: number of those that are learned from, from the first on.
        ensemble: whether a network of each annotator teaches it, with soft labels alone.
        matching: whether the joint distribution of images and labels is matched beside.
        differs_without_noise: whether labels on which all agree teach it anything else than one annotator's.
    """

    title: str
    objectives: dict[str, str]
    annotators: int = 3
    ensemble: bool = False
    matching: bool = False
    differs_without_noise: bool = True


def _both(objective: str) -> dict[str, str]:
    return {EXPRESSION: objective, VALENCE_AROUSAL: objective}


WAYS = {
    ONE: Way("one set", _both("first"), annotators=1),
    "sum": Way("sum of 3", _both("sum"), differs_without_noise=False),
    "vote": Way("majority", _both("vote"), differs_without_noise=False),
    "transition": Way("learned transition", {EXPRESSION: "transition", VALENCE_AROUSAL: "gaussian"}),
    "ensemble": Way("ensemble-distilled", _both("vote"), ensemble=True),
    "adversarial": Way("adversarial", _both("sum"), matching=True),
}
"""By name, in the order of the table. The majority of valence and arousal is their median, and what is learned of their
annotators Gaussian errors. A distilled network's own labels, the majority's, only balance its samples."""

MATCHING = "joint_matching"
NARROW = {"image_size": 32, "width": 4, "features": 128, "noise": 32}
"""Options of the matching where the recipe has none: small enough for a CPU."""


def changed(recipe: Recipe, way: Way, annotators: Sequence[str], tasks: Sequence[str]) -> Recipe:
    """A recipe as a way has it, without anything that is chosen on validation: all epochs, and the trained weights.

    Args:
        recipe: of all runs.
        way: what is changed.
        annotators: whose labels there are.
        tasks: with such labels.
    """
    own = list(annotators[: way.annotators])
    label_sets = {task: LabelSetsConfig(annotators=own, objective=way.objectives[task]) for task in tasks}
    loss: dict[str, Any] = {"label_sets": label_sets}
    if way.ensemble:
        loss["hard_weight"] = 0.0
    objectives = {name: options for name, options in recipe.objectives.items() if name != MATCHING}
    if way.matching:
        objectives[MATCHING] = recipe.objectives.get(MATCHING, NARROW)
    return recipe.model_copy(
        update={
            "loss": recipe.loss.model_copy(update=loss),
            "objectives": objectives,
            "train": recipe.train.model_copy(update={"patience": recipe.train.epochs}),
            "optim": recipe.optim.model_copy(update={"average": None}),
        }
    )
