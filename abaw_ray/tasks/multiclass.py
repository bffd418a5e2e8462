"""One of several classes: cross-entropy (equation 1) and its distillation (equation 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.balance import class_weights
from abaw_ray.tasks.base import Decision, Role, TaskOptions, TrainLabels
from abaw_ray.tasks.metrics import class_chance, class_scores
from abaw_ray.tasks.soft import Distributions, masked_sum, ratio, softmax_distributions, zero_unlabelled
from abaw_ray.tasks.sums import Scores, class_sums, scores_of_class_sums

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class MulticlassOptions(TaskOptions):
    """Options of a multiclass task."""

    class_weights: Literal["none", "class", "sqrt"] = "none"
    """Weights w of the classes in the cross-entropy, -sum_c w_c y_c log p_c, in the place of balanced sampling. Of a
    class with the share f of the training labels: class: 1 / f; sqrt: 1 / sqrt(f); both divided so that they are 1 in
    the mean over the labels. The loss is divided by the number of rows, as without: with `class` it estimates what
    drawing every class equally often gives, without bias in batches of any size."""


class Multiclass:
    """Logits of the classes; labels are class distributions (one-hot, or shares of votes).

    Where a label is NaN for a class, the row's database does not have the class: the row's softmax, its answer and its
    scores are without it.
    """

    Options: ClassVar[type[MulticlassOptions]] = MulticlassOptions

    def __init__(
        self,
        space: LabelSpace,
        loss: LossConfig,
        model: ModelConfig,
        options: TaskOptions,
        train_labels: TrainLabels | None = None,
    ) -> None:
        del model
        self.role: Role = options.role
        self.space = space
        self.num_outputs, self.num_groups = space.size, 1
        self.class_weighting = options.class_weights if isinstance(options, MulticlassOptions) else "none"
        self._class_weights: Tensor | None = None
        if train_labels is not None and self.class_weighting != "none":
            self._class_weights = torch.from_numpy(_class_weights(train_labels(), self.class_weighting)).float()
        self._smoothing = loss.label_smoothing

    @property
    def columns(self) -> Mapping[str, str]:
        """Macro F1 and accuracy."""
        return {f"{self.space.name} F1": "macro_f1", f"{self.space.name} accuracy": "accuracy"}

    def statistics(self, logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Sum of the cross-entropies (of smoothed labels, by class weights, if so set), and number of labelled rows."""
        target = zero_unlabelled(target, labelled)
        absent = target.isnan()
        if self._smoothing:
            target = torch.lerp(target, 1 / (~absent).sum(-1, keepdim=True), self._smoothing)
        log_probability = logits.float().masked_fill(absent, -torch.inf).log_softmax(-1).masked_fill(absent, 0.0)
        present = target.masked_fill(absent, 0.0)
        if self._class_weights is not None:
            # kept where they are used: a copy in every step would wait for the device
            self._class_weights = weights = self._class_weights.to(logits.device)
            present = present * weights
        losses = -(present * log_probability).sum(-1)
        return torch.stack([masked_sum(losses, labelled), labelled.double().sum()])

    def supervised(self, statistics: Tensor) -> Tensor:
        """Mean cross-entropy (equation 1)."""
        return ratio(statistics[0], statistics[1])

    def distributions(self, logits: Tensor, temperature: float) -> Distributions:
        """One, over the classes: SF(logits, T) of equation 4, (batch, 1, classes)."""
        return softmax_distributions(logits.float()[:, None] / temperature)

    def logits_of(self, log_p: Tensor) -> Tensor:
        """The log-probabilities (batch, classes)."""
        return log_p[:, 0]

    def target_classes(self, target: Tensor, labelled: Tensor) -> Tensor:
        """The most probable class (batch, 1)."""
        classes = zero_unlabelled(target, labelled).nan_to_num(0.0).argmax(-1)
        return torch.where(labelled, classes, -1)[:, None]

    def decode(self, logits: Tensor) -> Tensor:
        """Class probabilities (batch, classes)."""
        return logits.float().softmax(-1)

    def deviation(self, logits: Tensor) -> None:
        """None: predictions are probabilities."""
        return None

    def balance_weights(self, labels: np.ndarray) -> np.ndarray:
        """Every class equally often; of a distribution the most probable class counts."""
        return class_weights(_classes(labels))

    def balance_groups(self, labels: np.ndarray) -> np.ndarray:
        """The classes."""
        return _classes(labels)

    def fit_decision(self, target: np.ndarray, prediction: np.ndarray) -> Decision:
        """Nothing: the most probable class is the answer."""
        return {}

    def score(self, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> dict[str, Any]:
        """`criterion`, and `metrics.class_scores` over the classes that any of the frames' databases has."""
        scores = class_scores(*scored_classes(self.space, target, prediction))
        return {"criterion": self._criterion(scores["macro_f1"], scores["accuracy"]), **scores}

    def score_sums(
        self, target: np.ndarray, prediction: np.ndarray, decision: Decision, group: np.ndarray, num_groups: int
    ) -> np.ndarray:
        """`sums.class_sums` of each group."""
        has = np.isfinite(target)
        true, predicted = (np.where(has, values, -1.0).argmax(1) for values in (target, prediction))
        return class_sums(true, predicted, has, group, num_groups)

    def scores_of_sums(self, sums: np.ndarray) -> Scores:
        """The numbers of `score`."""
        scores = scores_of_class_sums(sums, self.space.names)
        criterion = np.vectorize(self._criterion, otypes=[float])(scores["macro_f1"], scores["accuracy"])
        return {"criterion": criterion, **scores}

    def criterion(self, scores: Mapping[str, Any]) -> float:
        """The macro F1."""
        return float(scores["criterion"])

    def chance(self, target: np.ndarray) -> dict[str, float]:
        """Each number by itself is the better of two predictors: always the most frequent class, and one at random."""
        classes, _, names = scored_classes(self.space, target, target)
        majority, at_random = class_chance(classes, len(names))
        best = {key: max(majority[key], at_random[key]) for key in majority}
        return {"criterion": max(self._criterion(**majority), self._criterion(**at_random)), **best}

    def answers(self, prediction: np.ndarray, decision: Decision) -> np.ndarray:
        """Class ids (n, 1)."""
        return prediction.argmax(1)[:, None]

    def figures(self, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> dict[str, Figure]:
        """The confusion matrix, of up to 20 classes."""
        from abaw_ray.tasks.figures import MAX_CLASSES, confusion_figure

        true, predicted, names = scored_classes(self.space, target, prediction)
        if len(names) > MAX_CLASSES:
            return {}
        return {f"{self.space.name}_confusion": confusion_figure(true, predicted, names, self.space.name)}

    def describe(self, vector: np.ndarray, decision: Decision) -> str:
        """Name of the most probable class."""
        return self.space.names[int(vector.argmax())]

    def _criterion(self, macro_f1: float, accuracy: float) -> float:
        return macro_f1


def scored_classes(
    space: LabelSpace, target: np.ndarray, prediction: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """What is scored of labels and predictions (n, classes): the classes that any of the frames' databases has.

    Returns:
        True and predicted class (n,), as places among the names of those classes; and the names.

    Raises:
        ValueError: no frames.
    """
    if len(target) == 0:
        raise ValueError("no frames to score")
    has = np.isfinite(target)
    counts = has.any(axis=0)
    names = [name for name, count in zip(space.names, counts, strict=True) if count]
    true, predicted = (np.where(has, values, -1.0)[:, counts].argmax(1) for values in (target, prediction))
    return true, predicted, names


def _classes(labels: np.ndarray) -> np.ndarray:
    """Most probable class (n,) of labels (n, classes)."""
    return np.nan_to_num(labels).argmax(1)


def _class_weights(labels: np.ndarray, how: str) -> np.ndarray:
    """Weights (classes,) of `MulticlassOptions.class_weights`; 1 of classes that no label (n, classes) has."""
    counts = np.nan_to_num(labels).sum(0, dtype=np.float64)
    raw = np.divide(1.0, counts if how == "class" else np.sqrt(counts), out=np.ones(len(counts)), where=counts > 0)
    return np.where(counts > 0, raw * counts.sum() / (raw * counts).sum(), 1.0)


TASK = Multiclass
