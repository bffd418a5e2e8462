"""What a task is: its outputs, its two losses, how its outputs become predictions, and how those are scored.

A loss is given in two halves so that it means the same on 1 and N workers. `statistics` are sums over this worker's
rows; the training loop adds them over all workers; `supervised` turns the sums into the loss of the global batch.

Losses are about tensors on a device; what is after the prediction is NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from pydantic import model_validator
from torch import Tensor

from abaw_ray.config import Section
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks.soft import Distributions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Decision = Mapping[str, Any]
"""What a task has to know beside its predictions to give answers, as thresholds; fitted on validation labels only.

Empty where there were none: the task's own defaults hold.
"""


TrainLabels = Callable[[], np.ndarray]
"""Gives a task's training labels (n, label size), which are only gathered if it asks."""


Role = Literal["target", "nuisance"]
"""target: predictions that are wanted; nuisance: what the features should not depend on, as who a face belongs to. The
scores of a nuisance task are reported and select no model, and it is not distilled."""


class TaskOptions(Section):
    """Options of every task, `tasks.<name>` of the recipe; a task may add its own."""

    role: Role = "target"
    head: str | dict[str, Any] | None = None
    """A name of `models/heads`, or `kind` and options; None: `model.head`."""
    nuisance: str | dict[str, Any] | None = None
    """What the network learns of a nuisance, of which it has no head then: `predict`, `reverse` or `confuse`, or `mode`
    and options (see `objectives.nuisance`). The task is a label space of the store, or `subject` or `database`, which
    every store knows of its rows. None: the network has a head of the task, as of any other."""

    @model_validator(mode="after")
    def _of_a_nuisance(self) -> TaskOptions:
        if self.nuisance is not None and self.head is not None:
            raise ValueError("head: of tasks of the network, expected none beside nuisance, whose option hidden it is")
        if self.nuisance is not None and "role" in self.model_fields_set and self.role != "nuisance":
            raise ValueError(f"role: expected nuisance beside the option of that name, found {self.role}")
        return self


class Task(Protocol):
    """One task of the network."""

    space: LabelSpace
    """What its labels say."""
    role: Role
    num_outputs: int
    """Length of the head's output."""
    num_groups: int
    """Number of its `distributions`."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns of a table of scores: heading -> key of `score`'s result."""
        ...

    def statistics(self, logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
        """Sums over the labelled rows from which `supervised` computes the loss.

        Args:
            logits: (batch, num_outputs).
            target: (batch, label size); ignored where not labelled.
            labelled: (batch,) bool.

        Returns:
            (sums,) float64. It stays in the graph even when no row is labelled.
        """
        ...

    def supervised(self, statistics: Tensor) -> Tensor:
        """The loss of the global batch, a scalar: 0 when no row is labelled. Never NaN."""
        ...

    def distributions(self, logits: Tensor, temperature: float) -> Distributions:
        """What logits (batch, num_outputs) say at a temperature > 0: (batch, groups, classes); distilled."""
        ...

    def logits_of(self, log_p: Tensor) -> Tensor:
        """Logits (batch, num_outputs) whose distributions at temperature 1 are `log_p` (batch, groups, classes)."""
        ...

    def target_classes(self, target: Tensor, labelled: Tensor) -> Tensor:
        """The class (batch, groups) int64 that a label says in each group of the distributions; -1: not known.

        Args:
            target: (batch, label size).
            labelled: (batch,) bool.
        """
        ...

    def decode(self, logits: Tensor) -> Tensor:
        """Predictions of the label's shape, (batch, label size)."""
        ...

    def deviation(self, logits: Tensor) -> Tensor | None:
        """How far off a network expects its predictions to be: the standard deviations (batch, label size).

        None: predictions are probabilities, which say it themselves.
        """
        ...

    def balance_weights(self, labels: np.ndarray) -> np.ndarray:
        """How often each row of a training set is drawn, (n,) float64, from its labels (n, label size)."""
        ...

    def balance_groups(self, labels: np.ndarray) -> np.ndarray:
        """Group (n,) of each row, from 0, whose frequency is kept where blocks are dealt to nodes.

        Rows of one group have the same balance weight.
        """
        ...

    def fit_decision(self, target: np.ndarray, prediction: np.ndarray) -> Decision:
        """What `score` and `answers` need, fitted on labels and predictions of validation frames, both (n, size)."""
        ...

    def score(self, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> dict[str, Any]:
        """Scores over all frames together: labels and predictions, both (n, label size), n > 0."""
        ...

    def criterion(self, scores: Mapping[str, Any]) -> float:
        """The task's part of the number that models are selected by, from `score`'s result."""
        ...

    def chance(self, target: np.ndarray) -> dict[str, float]:
        """Scores without looking at the images, with the keys of `columns`, for labels (n, label size), n > 0."""
        ...

    def answers(self, prediction: np.ndarray, decision: Decision) -> np.ndarray:
        """What a submission states for predictions (n, label size): (n, numbers in a line)."""
        ...

    def figures(self, target: np.ndarray, prediction: np.ndarray, decision: Decision) -> dict[str, Figure]:
        """Name -> figure of labels and predictions, both (n, label size), n > 0; none that nobody could read."""
        ...

    def describe(self, vector: np.ndarray, decision: Decision) -> str:
        """A label or prediction (label size,) in a few characters."""
        ...
