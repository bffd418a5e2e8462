"""Any attributes, scored by how they rank frames (average precision) and by what they answer (F1, Jaccard index)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.attributes import AttributeOptions, Attributes
from abaw_ray.tasks.base import Decision, TaskOptions, TrainLabels
from abaw_ray.tasks.metrics import average_precision, jaccard, weighted_average_precisions
from abaw_ray.tasks.sums import Scores, group_sums

MEAN_AP = "mean_average_precision"


class MultilabelOptions(AttributeOptions):
    """Those of attributes, and which criterion selects models."""

    criterion: Literal["macro_f1", "mean_average_precision"] = "macro_f1"
    """macro_f1: the mean of the attributes' F1; mean_average_precision: of their average precisions, for which no
    threshold is needed, over the attributes that are present anywhere."""


class Multilabel(Attributes):
    """A task of attributes whose criterion is the macro F1, or the mean average precision."""

    Options: ClassVar[type[TaskOptions]] = MultilabelOptions

    def __init__(
        self,
        space: LabelSpace,
        loss: LossConfig,
        model: ModelConfig,
        options: MultilabelOptions,
        train_labels: TrainLabels | None = None,
    ) -> None:
        super().__init__(space, loss, model, options, train_labels)
        self._by_rank = options.criterion == MEAN_AP

    @property
    def columns(self) -> Mapping[str, str]:
        """Macro F1, accuracy and mean average precision, which is the first if it is the criterion; Jaccard index."""
        name = self.space.name
        answers, ranks = super().columns, {f"{name} mAP": MEAN_AP}
        parts = (ranks, answers) if self._by_rank else (answers, ranks)
        return {**parts[0], **parts[1], f"{name} Jaccard": "jaccard"}

    def score(self, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> dict[str, Any]:
        """Scores at the thresholds of `decision`, and of the probabilities themselves.

        Returns:
            Those of `Attributes.score`; `average_precision` by attribute that is present anywhere,
            `mean_average_precision` over these, if there are any; `num_never_present`, the number of attributes that
            are known, but nowhere present, and have none; `jaccard`, the mean over the frames of the index of their
            known attributes.
        """
        scores, known, present = super().score(target, prediction, decision), np.isfinite(target), target > 0.5
        found = {
            name: average_precision(present[known[:, k], k], prediction[known[:, k], k])
            for k, name in enumerate(self.space.names)
        }
        by_name = {name: value for name, value in found.items() if value is not None}
        scores["average_precision"] = by_name
        if by_name:
            scores[MEAN_AP] = float(np.mean(list(by_name.values())))
        scores["num_never_present"] = int(known.any(0).sum()) - len(by_name)
        scores["jaccard"] = float(self._jaccard(target, prediction, decision).mean())
        if self._by_rank:
            scores["criterion"] = scores.get(MEAN_AP, 0.0)
        return scores

    def score_sums(
        self, target: np.ndarray, prediction: np.ndarray, decision: Decision, group: np.ndarray, num_groups: int
    ) -> np.ndarray:
        """`sums.attribute_sums` of each group, number of frames, sum of their Jaccard indices."""
        of_frames = np.stack([np.ones(len(target)), self._jaccard(target, prediction, decision)], axis=1)
        sums = super().score_sums(target, prediction, decision, group, num_groups)
        return np.concatenate([sums, group_sums(of_frames, group, num_groups)], axis=1)

    def scores_of_sums(self, sums: np.ndarray) -> Scores:
        """The numbers of `score` but for the thresholds and those of `scores_of_weights`."""
        scores = super().scores_of_sums(sums[..., :-2])
        if self._by_rank:
            del scores["criterion"]
        with np.errstate(invalid="ignore"):
            return {**scores, "jaccard": sums[..., -1] / sums[..., -2]}

    def scores_of_weights(
        self, target: np.ndarray, prediction: np.ndarray, decision: Decision, weights: np.ndarray
    ) -> Scores:
        """What follows from ranks."""
        known, found = np.isfinite(target), {}
        for k, name in enumerate(self.space.names):
            of = known[:, k]
            present, counts = target[of, k] > 0.5, weights if of.all() else weights[of]
            if present.any():
                found[name] = weighted_average_precisions(present, prediction[of, k], counts)
        scores: Scores = {"average_precision": found}
        if found:
            values = np.stack(list(found.values()))
            there = np.isfinite(values)
            with np.errstate(invalid="ignore"):
                scores[MEAN_AP] = np.where(there, values, 0.0).sum(0) / there.sum(0)
        if self._by_rank:
            scores["criterion"] = scores.get(MEAN_AP, np.zeros(weights.shape[1]))
        return scores

    def chance(self, target: np.ndarray) -> dict[str, float]:
        """Beside those of `Attributes.chance`: frames in any order, and the better of all present and all absent."""
        chance, known, present = super().chance(target), np.isfinite(target), target > 0.5
        answers = (jaccard(present, answered) for answered in (known, np.zeros_like(known)))
        chance["jaccard"] = max(float(values.mean()) for values in answers)
        shares = present.sum(0)[present.any(0)] / known.sum(0)[present.any(0)]
        if len(shares):
            chance[MEAN_AP] = float(shares.mean())
        if self._by_rank:
            chance["criterion"] = chance.get(MEAN_AP, 0.0)
        return chance

    def _jaccard(self, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> np.ndarray:
        """Index of each frame (n,)."""
        known = np.isfinite(target)
        return jaccard(target > 0.5, (self.answers(prediction, decision) > 0.5) & known)


TASK = Multilabel
