"""Train labels of a store's rows, of one annotator a task or of several, as a recipe says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from abaw_ray.blocks.labels import LabelSet
from abaw_ray.blocks.reader import SourceSet, Store
from abaw_ray.config import LabelSetsConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.objectives.label_sets import build_label_sets
from abaw_ray.objectives.label_sets.base import LabelSets
from abaw_ray.objectives.label_sets.learned import called
from abaw_ray.objectives.terms import AnnotatorLabels, SetLabels
from abaw_ray.spaces import Split


class TrainLabels:
    """What the rows of a store are trained with: the labels whose annotator has no name, or those of other annotators.

    Everything that training takes from labels comes from here, the balance of samples and the weights of classes too: a
    task with label sets of its own learns nothing from the labels without a name.

    Args:
        store: whose labels they are.
        config: `loss.label_sets`.
        tasks: names of the tasks that are trained.
        others: name -> labels of what is learned beside the tasks.

    Attributes:
        sets: task -> what it learns from several annotators.

    Raises:
        ConfigurationError: a task, an annotator, an objective or an option that there is none of; no train label.
    """

    def __init__(
        self,
        store: Store,
        config: Mapping[str, LabelSetsConfig],
        tasks: Iterable[str],
        others: Mapping[str, LabelSet] | None = None,
    ) -> None:
        self._store, self._others = store, others or {}
        known = list(tasks)
        unknown = sorted(config.keys() - set(known))
        if unknown:
            raise ConfigurationError(f"loss.label_sets: {', '.join(unknown)} not among the tasks: {', '.join(known)}")
        self.sets: dict[str, LabelSets] = {}
        for task, of_task in config.items():
            annotators = _annotators(store, task, of_task)
            self.sets[task] = build_label_sets(store.spaces[task], annotators, of_task)
            rows = np.unique(np.concatenate([store.label_sets[task, by].rows_with(Split.TRAIN) for by in annotators]))
            if not len(rows):
                raise ConfigurationError(f"loss.label_sets.{task}: no train label of {_listed(annotators)}")
            if type(self.sets[task]).prepare is not LabelSets.prepare:
                self.sets[task].prepare(*self._of_annotators(task, rows))

    def of(self, rows: np.ndarray, tasks: Iterable[str]) -> SetLabels:
        """Train labels of `rows` (n,) for `tasks`: their set's own, and those shared by another set or database.

        Those of what is learned beside the tasks are there, too.
        """
        labels, labelled, annotators = {}, {}, {}
        for name, found in self._others.items():
            vectors, splits = found.of(rows)
            labels[name], labelled[name] = torch.from_numpy(vectors), torch.from_numpy(splits == Split.TRAIN)
        for task in tasks:
            if task not in self.sets:
                vectors, splits = self._store.labels(task).of(rows)
                labels[task], labelled[task] = torch.from_numpy(vectors), torch.from_numpy(splits == Split.TRAIN)
                continue
            values, given = self._of_annotators(task, rows)
            labels[task] = torch.from_numpy(self._targets(task, values, given))
            labelled[task] = torch.from_numpy(given.any(1))
            if self.sets[task].takes_all:
                annotators[task] = AnnotatorLabels(torch.from_numpy(values), torch.from_numpy(given))
        return SetLabels(labels, labelled, annotators)

    def vectors(self, task: str, rows: np.ndarray) -> np.ndarray:
        """Label vectors (n, size) float32 of `rows` (n,); of rows that no annotator labelled zeros."""
        if task not in self.sets:
            return self._store.labels(task).of(rows)[0]
        return self._targets(task, *self._of_annotators(task, rows))

    def has(self, task: str, rows: np.ndarray) -> np.ndarray:
        """Which of `rows` (n,), with a train label without a name, have one that the task is trained with, (n,)."""
        if task not in self.sets:
            return np.ones(len(rows), bool)
        return np.logical_or.reduce(self._of_annotators(task, rows)[1], axis=1)

    def labelled_rows(self, source: SourceSet) -> SourceSet:
        """A training set without the rows that a task of it has no label for."""
        has = np.stack([self.has(task, source.rows) for task in source.tasks], axis=1)
        rows = source.rows[np.flatnonzero(has.all(axis=1))]
        return source if len(rows) == len(source.rows) else SourceSet(source.name, source.tasks, rows)

    def _targets(self, task: str, values: np.ndarray, given: np.ndarray) -> np.ndarray:
        return np.where(given.any(axis=1, keepdims=True), self.sets[task].targets(values, given), np.float32(0))

    def _of_annotators(self, task: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Train labels (n, annotators, size) float32 of `rows` (n,), and which there are (n, annotators)."""
        found = [self._store.label_sets[task, by].of(rows) for by in self.sets[task].annotators]
        values = np.stack([vectors for vectors, _ in found], axis=1)
        given = np.stack([splits == Split.TRAIN for _, splits in found], axis=1) & ~np.isnan(values).all(-1)
        return values, given


def _annotators(store: Store, task: str, config: LabelSetsConfig) -> Sequence[str]:
    """Whose labels a task is trained with."""
    known = [by for space, by in store.label_sets if space == task]
    named = sorted((by for by in known if by), key=_natural)
    if config.annotators is None:
        if not named:
            raise ConfigurationError(
                f"loss.label_sets.{task}: {store.path} has no labels of {task} by an annotator with a name"
            )
        return named
    unknown = [by for by in config.annotators if by not in known]
    if unknown:
        raise ConfigurationError(
            f"loss.label_sets.{task}.annotators: {_listed(unknown)} not among those of {store.path}"
            f" ({_listed(named) if named else 'none has a name'})"
        )
    return config.annotators


def _natural(name: str) -> tuple[str, int, str]:
    """Orders `vote_2` before `vote_10`."""
    text = name.rstrip("0123456789")
    return text, int(name[len(text) :] or 0), name


def _listed(annotators: Sequence[str]) -> str:
    return ", ".join(map(called, annotators))
