"""The probabilities of the true classes by everybody's votes and how reliable they are (Dawid and Skene, 1979)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abaw_ray.errors import ConfigurationError
from abaw_ray.objectives.label_sets.base import LabelSets, LabelSetsOptions
from abaw_ray.objectives.label_sets.learned import LearnedTable, confusion_tables
from abaw_ray.objectives.label_sets.reliability import MISSING, Reliability, estimate_reliability
from abaw_ray.spaces import LabelSpace


class DawidSkene(LabelSets):
    """Soft labels: each annotator's confusion matrix is estimated once by the EM algorithm from all train labels.

    A label that is a distribution votes for its largest class; of a multilabel task every attribute is estimated by
    itself.
    """

    kinds = ("multiclass", "multilabel")

    def __init__(self, options: LabelSetsOptions, space: LabelSpace, annotators: Sequence[str]) -> None:
        super().__init__(options, space, annotators)
        if len(self.annotators) < 2:
            raise ConfigurationError(
                f"loss.label_sets.{space.name}: dawid_skene compares annotators, found {', '.join(annotators)} alone"
            )
        self._found: list[Reliability] = []

    def prepare(self, values: np.ndarray, given: np.ndarray) -> None:
        classes = self.space.size if self.space.kind == "multiclass" else 2
        self._found = [estimate_reliability(votes, classes) for votes in self._votes(values, given)]

    def targets(self, values: np.ndarray, given: np.ndarray) -> np.ndarray:
        assert self._found, "prepared before"
        found = [
            reliability.posterior(votes)
            for reliability, votes in zip(self._found, self._votes(values, given), strict=True)
        ]
        unknown = (~given[..., None] | np.isnan(values)).all(1)
        if self.space.kind == "multilabel":
            probabilities = np.stack([p[:, 1] for p in found], axis=1)
        else:  # a class that the row's database lacks has no probability
            probabilities = np.where(unknown, 0.0, found[0])
            probabilities /= np.maximum(probabilities.sum(1, keepdims=True), np.finfo(float).tiny)
        return np.where(unknown, np.nan, probabilities).astype(np.float32)

    def learned(self) -> list[LearnedTable]:
        assert self._found, "prepared before"
        matrices = np.stack([found.confusion for found in self._found], axis=1)
        if self.space.kind == "multilabel":  # votes count absence first
            matrices = matrices[..., ::-1, ::-1]
        return confusion_tables(self.space, self.annotators, matrices)

    def _votes(self, values: np.ndarray, given: np.ndarray) -> list[np.ndarray]:
        """Votes (n, annotators) for the classes; of a multilabel task of each attribute, for 1, present, or 0."""
        if self.space.kind == "multiclass":
            return [np.where(given, np.where(np.isnan(values), -1.0, values).argmax(-1), MISSING)]
        known = given[..., None] & ~np.isnan(values)
        return list(np.moveaxis(np.where(known, values > 0.5, MISSING), -1, 0))


LABEL_SETS = DawidSkene
