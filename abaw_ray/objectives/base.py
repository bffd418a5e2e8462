"""What an objective is: losses of a step, with parameters of its own if it needs some."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from abaw_ray.config import Section
from abaw_ray.models.outputs import SetsOutput
from abaw_ray.objectives.terms import AnyTerm, SetLabels
from abaw_ray.tasks.base import Task


class ObjectiveOptions(Section):
    """Options of every objective."""

    weight: float = Field(1.0, ge=0)
    """Weight of its loss beside those of the tasks' heads."""
    learning_rate: float = Field(1e-3, gt=0)
    """Learning rate of its own optimisers (Adam), as of that which minimises its `own_terms`."""
    own_steps: int = Field(1, ge=1)
    """Steps of its own optimiser for each step in which the network learns from it."""
    delay: int = Field(0, ge=0)
    """Steps of the network's optimiser before it begins: until then neither the network learns from it, nor it by
    itself."""


@dataclass(frozen=True)
class Context:
    """What objectives are about.

    Args:
        tasks: of the network.
        set_tasks: source set -> the tasks it is made for.
        feature_widths: task -> length of the features that its classifier takes.
        shapes: stream -> shape of one sample in the store, of the streams that the network takes; none: it takes
            features.
        lacking: stream -> training rows that do not have it.
        shared_width: length of what all heads take; None: they do not share it.
        num_updates: steps of the network's optimiser in the whole training, if it does not stop early.
    """

    tasks: Mapping[str, Task]
    set_tasks: Mapping[str, tuple[str, ...]]
    feature_widths: Mapping[str, int]
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    lacking: Mapping[str, int] = field(default_factory=dict)
    shared_width: int | None = None
    num_updates: int = 1


@dataclass(frozen=True)
class StepData:
    """What the losses of a step are computed from.

    Args:
        labels: source set -> labels of its rows.
        network: what the network in training gives.
        teacher: what its teacher gives for the same inputs; None: it has none.
        inputs: source set -> what the network takes: `models.sets.Streams` of views, or features of windows.
        num_updates: steps that the network's optimiser took before.
    """

    labels: Mapping[str, SetLabels]
    network: SetsOutput
    teacher: SetsOutput | None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    num_updates: int = 0


@dataclass(frozen=True)
class Player:
    """A part of an objective that has an optimiser of its own.

    Args:
        module: whose parameters it trains; in no other player.
        terms: what they minimise, given a step in which the network's outputs come without their graph. The gradient
            reaches no other parameters.
        period: steps of the network's optimiser for each of its own.
    """

    module: nn.Module
    terms: Callable[[StepData], Sequence[AnyTerm]]
    period: int = 1


OWN = "own"
"""The one player of an objective that has `own_terms`."""


class Objective(nn.Module, ABC):
    """Losses of a step beside those of the tasks' heads.

    Parameters that it has are trained with the network's, on `terms`; or, where it has `own_terms`, on these alone, by
    an optimiser of its own, and stay as they are in the network's step. One whose parts learn by several optimisers
    has several `players`.

    Args:
        options: of this objective.
        context: what it is about.
    """

    Options: ClassVar[type[ObjectiveOptions]] = ObjectiveOptions

    def __init__(self, options: ObjectiveOptions, context: Context) -> None:
        super().__init__()
        self.options = options

    @abstractmethod
    def terms(self, step: StepData) -> Sequence[AnyTerm]:
        """What the network minimises."""

    def own_terms(self, step: StepData) -> Sequence[AnyTerm]:
        """What its own parameters minimise; the network's outputs come without their graph."""
        return ()

    def players(self) -> Mapping[str, Player]:
        """Its parts with optimisers of their own, by name; parameters that none has are trained with the network's."""
        has_own_terms = type(self).own_terms is not Objective.own_terms
        return {OWN: Player(self, self.own_terms)} if has_own_terms else {}
