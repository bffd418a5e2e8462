"""The nuisances of a training: what the network is to predict or to forget beside its tasks, from every set's rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from abaw_ray.blocks.columns import labels_named
from abaw_ray.blocks.labels import LabelSet
from abaw_ray.blocks.reader import SourceSet, Store
from abaw_ray.config import Recipe
from abaw_ray.errors import StoreError
from abaw_ray.objectives.nuisance import NuisanceOptions, nuisance_options
from abaw_ray.spaces import Split
from abaw_ray.tasks import build_task, nuisance_settings
from abaw_ray.tasks.base import Task


@dataclass(frozen=True)
class TrainedNuisance:
    """A nuisance in training.

    Args:
        task: of its classes.
        options: what is learned of it.
        labels: that it is learned from: those of the store, or those that follow from what it knows of its rows.
        rows: (n,) of the training sets that have one.
    """

    task: Task
    options: NuisanceOptions
    labels: LabelSet
    rows: np.ndarray

    @property
    def is_adversary(self) -> bool:
        """Whether the network is to forget it."""
        return self.options.mode != "predict"


def trained_nuisances(store: Store, recipe: Recipe, sets: Sequence[SourceSet]) -> dict[str, TrainedNuisance]:
    """The nuisances of a recipe by name.

    Args:
        store: whose label spaces, subjects and databases they are of.
        recipe: its `tasks`.
        sets: training sets; those of nuisances alone play no part, see `without_nuisances`.

    Raises:
        ConfigurationError: neither a label space of the store nor a name in `COLUMNS`; an unknown mode or option.
        StoreError: no training row has a label, or all have the same one.
    """
    rows = np.unique(np.concatenate([s.rows for s in sets])) if sets else np.empty(0, np.int64)
    return {name: _nuisance(store, recipe, name, rows) for name in nuisance_settings(recipe.tasks)}


def without_nuisances(sets: Sequence[SourceSet], recipe: Recipe) -> list[SourceSet]:
    """Training sets as those of the other tasks they are made for; those made for nuisances alone are left out."""
    names = nuisance_settings(recipe.tasks).keys()
    kept = [SourceSet(s.name, tuple(task for task in s.tasks if task not in names), s.rows) for s in sets]
    return [s for s in kept if s.tasks]


def _nuisance(store: Store, recipe: Recipe, name: str, rows: np.ndarray) -> TrainedNuisance:
    settings = recipe.tasks[name]
    options = nuisance_options(settings["nuisance"], f"tasks.{name}.nuisance")
    labels = labels_named(store, name, rows, f"tasks.{name}.nuisance")
    labelled = rows[labels.splits_of(rows) == Split.TRAIN]
    if not len(labelled):
        raise StoreError(f"{store.path}: no row of a training set has a train label of {name}")
    vectors: Callable[[], np.ndarray] = lambda: labels.of(labelled)[0]  # noqa: E731
    task = build_task(labels.space, recipe.loss, recipe.model, vectors, settings)
    return TrainedNuisance(task, options, labels, labelled)


def nuisance_labels(nuisances: Mapping[str, TrainedNuisance]) -> dict[str, LabelSet]:
    """Name -> the labels it is learned from."""
    return {name: nuisance.labels for name, nuisance in nuisances.items()}
