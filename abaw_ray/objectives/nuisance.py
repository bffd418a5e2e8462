"""What features should not depend on, as who a face belongs to: predicted, or unlearned by an adversary.

A head of its own, two layers over what all heads of the network take (z), tells the nuisance's classes. Its loss is
L_n, the network's encoder f, and the factor lambda rises from 0 over the training:

    predict   f and the head minimise L_n, as of any other task (multi-task learning).
    reverse   the head minimises L_n, and f gets its gradient times -lambda (Ganin and Lempitsky, ICML 2015).
    confuse   f minimises lambda KL(uniform || softmax of the head), for which the head stays as it is; the head
              minimises L_n over features that f is not told of, by an optimiser of its own, `own_steps` for each step
              of f (Tzeng et al., ICCV 2015, equations 3 and 4).

    lambda(p) = strength (2 / (1 + exp(-10 p)) - 1)       p: share of the training that is done

(Ganin et al., JMLR 2016, section 5.2.2.) A run that stops early does not come to p = 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from abaw_ray.config import parse_options
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.heads.reversal import Reversed
from abaw_ray.objectives.base import OWN, Context, Objective, ObjectiveOptions, Player, StepData
from abaw_ray.objectives.terms import Term
from abaw_ray.tasks.base import Task
from abaw_ray.tasks.soft import masked_sum, ratio

Mode = Literal["predict", "reverse", "confuse"]

STEEPNESS = 10
"""Of the ramp (Ganin et al.)."""

OF_ADVERSARIES = ("strength", "ramp")
OF_CONFUSION = ("own_steps", "learning_rate")


class NuisanceOptions(ObjectiveOptions):
    """Options of a nuisance. `learning_rate` and `own_steps` are of the head where it has its own optimiser."""

    mode: Mode
    strength: float = Field(0.3, ge=0)
    """Lambda at the end of the training. With a great one the tasks are unlearned, too."""
    ramp: bool = True
    """Whether lambda rises over the training; False: it is `strength` from the first step."""
    hidden: int = Field(128, ge=1)
    """Units of the head's first layer."""

    @model_validator(mode="after")
    def _of_the_mode(self) -> NuisanceOptions:
        others = [*(OF_ADVERSARIES if self.mode == "predict" else ())]
        others += OF_CONFUSION if self.mode != "confuse" else ()
        if found := [name for name in others if name in self.model_fields_set]:
            raise ValueError(f"{', '.join(found)}: of other modes than {self.mode}")
        return self


def nuisance_options(setting: str | Mapping[str, Any], key: str) -> NuisanceOptions:
    """Options from a setting of the recipe: a mode, or `mode` and options.

    Raises:
        ConfigurationError: an unknown mode or option, or one of another mode; the message names `key`.
    """
    return parse_options(NuisanceOptions, {"mode": setting} if isinstance(setting, str) else setting, key)


def ramp(progress: float) -> float:
    """2 / (1 + exp(-10 p)) - 1: 0 at the beginning of a training, nearly 1 at its end."""
    return 2 / (1 + math.exp(-STEEPNESS * progress)) - 1


def divergence_from_uniform(log_p: Tensor) -> Tensor:
    """KL(uniform || p), the mean over the groups: (batch,) from log-probabilities (batch, groups, classes)."""
    return -(log_p.mean(-1) + math.log(log_p.shape[-1])).mean(-1)


class Nuisance(Objective):
    """The losses of one nuisance, from every source set.

    Args:
        task: whose classes they are.
        options: of the nuisance.
        context: what it is about.

    Raises:
        ConfigurationError: a network whose heads share no features.
    """

    Options = NuisanceOptions
    options: NuisanceOptions

    def __init__(self, task: Task, options: NuisanceOptions, context: Context) -> None:
        super().__init__(options, context)
        if context.shared_width is None:
            raise ConfigurationError(
                f"tasks.{task.space.name}.nuisance: the heads of this network share no features; expected a network of"
                " frames, as a CNN"
            )
        self._task, self._num_updates = task, context.num_updates
        self.head = nn.Sequential(
            nn.Linear(context.shared_width, options.hidden), nn.ReLU(), nn.Linear(options.hidden, task.num_outputs)
        )

    def players(self) -> Mapping[str, Player]:
        """The head, where it learns by itself."""
        return {OWN: Player(self, self.own_terms)} if self.options.mode == "confuse" else {}

    def factor(self, num_updates: int) -> float:
        """Of the loss's gradient to the features, after so many steps of the network's optimiser."""
        mode, strength = self.options.mode, self.options.strength
        if mode == "predict":
            return 1.0
        begun, length = self.options.delay, max(self._num_updates - self.options.delay, 1)
        rising = ramp(max(num_updates - begun, 0) / length) if self.options.ramp else 1.0
        return (-strength if mode == "reverse" else strength) * rising

    def terms(self, step: StepData) -> Sequence[Term]:
        """What the network learns; of `confuse` the divergence, else the loss of the task."""
        of_set = self._confusion if self.options.mode == "confuse" else self._loss
        factor = self.factor(step.num_updates)
        return [of_set(step, source, Reversed.apply(_float(step, source), -factor)) for source in step.labels]

    def own_terms(self, step: StepData) -> Sequence[Term]:
        """What the head learns by itself."""
        return [self._loss(step, source, _float(step, source)) for source in step.labels]

    def _loss(self, step: StepData, source: str, features: Tensor) -> Term:
        name, labels = self._task.space.name, step.labels[source]
        sums = self._task.statistics(self.head(features), labels.labels[name], labels.labelled[name])
        return Term(source, name, sums, self._task.supervised)

    def _confusion(self, step: StepData, source: str, features: Tensor) -> Term:
        """Mean divergence over the rows that have a label: others, as nobody's, may lie anywhere."""
        name = self._task.space.name
        labelled = step.labels[source].labelled[name]
        found = divergence_from_uniform(self._task.distributions(self.head(features), 1.0).log_p)
        sums = torch.stack([masked_sum(found, labelled), labelled.double().sum()])
        return Term(source, name, sums, _mean)


def _float(step: StepData, source: str) -> Tensor:
    return step.network.shared[source].float()


def _mean(sums: Tensor) -> Tensor:
    return ratio(sums[0], sums[1])
