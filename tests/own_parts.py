"""Parts from outside the package, registered as a user's are: by a recipe that names this module in `plugins`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abaw_ray.config import ModelConfig, Section
from abaw_ray.models.encoders import ENCODERS
from abaw_ray.models.encoders.base import Encoder, Shape
from abaw_ray.models.fusion import FUSIONS
from abaw_ray.models.fusion.base import Fusion
from abaw_ray.models.heads import HEADS
from abaw_ray.models.heads.base import Head
from abaw_ray.models.sets import Network
from abaw_ray.objectives import OBJECTIVES
from abaw_ray.objectives.base import Context, Objective, ObjectiveOptions, StepData
from abaw_ray.objectives.kd import KD_LOSSES
from abaw_ray.objectives.kd.base import Head as TaskHead
from abaw_ray.objectives.kd.base import KDLoss
from abaw_ray.objectives.terms import RowsTerm, Term
from abaw_ray.tasks.base import Task
from abaw_ray.tasks.soft import ratio
from abaw_ray.teachers import TEACHERS
from abaw_ray.teachers.base import Teacher
from abaw_ray.teachers.network import NetworkTeacher


class Spread(Objective):
    """The mean cosine between the features of different rows of a set: a loss of pairs."""

    def terms(self, step: StepData) -> Sequence[RowsTerm]:
        return [
            RowsTerm(source, "spread", next(iter(features.values())).float(), _mean_cosine)
            for source, features in step.network.features.items()
        ]


def _mean_cosine(rows: Tensor) -> Tensor:
    unit = F.normalize(rows, dim=-1)
    cosines = unit @ unit.T
    return (cosines.sum() - cosines.trace()) / (len(rows) * (len(rows) - 1))


class Guess(Objective):
    """Guesses the source set from the features, by an optimiser of its own; the network learns to make it wrong."""

    def __init__(self, options: ObjectiveOptions, context: Context) -> None:
        super().__init__(options, context)
        self.sources = list(context.set_tasks)
        self.task, width = next(iter(context.feature_widths.items()))
        self.head = nn.Linear(width, len(self.sources))

    def terms(self, step: StepData) -> Sequence[Term]:
        return [Term(term.source, term.head, -term.sums, lambda s: ratio(s[0], -s[1])) for term in self.own_terms(step)]

    def own_terms(self, step: StepData) -> Sequence[Term]:
        return [
            Term(source, "guess", self._sums(source, features[self.task].float()), lambda sums: ratio(sums[0], sums[1]))
            for source, features in step.network.features.items()
        ]

    def _sums(self, source: str, features: Tensor) -> Tensor:
        target = torch.full((len(features),), self.sources.index(source), device=features.device)
        losses = F.cross_entropy(self.head(features), target, reduction="none").double()
        return torch.stack([losses.sum(), torch.ones_like(losses).sum()])


class Scaled(KDLoss):
    """The squared distance of probabilities, scaled by a parameter that is learned."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, task: str, student: TaskHead, teacher: TaskHead, target: Tensor | None) -> Tensor:
        return self.scale.square() * (student.distributions.p - teacher.distributions.p).square().sum((1, 2))


class PatchOptions(Section):
    """Options of `Patches`."""

    side: int = 8


class Patches(Encoder):
    """Mean colours of square patches of images."""

    Options = PatchOptions
    axes = ("colours", "height", "width")

    def __init__(self, options: PatchOptions, shape: Shape, config: ModelConfig) -> None:
        super().__init__(options, shape, config)
        self._side, self.width = options.side, 16
        self.layer = nn.Linear(3 * (shape[1] // options.side) ** 2, self.width)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(F.avg_pool2d(images.float() / 255, self._side).flatten(1)).relu()


class Mean(Fusion):
    """The mean of the streams that are there, each projected."""

    def __init__(self, options: Section, widths: Mapping[str, int]) -> None:
        super().__init__(options, widths)
        self.width = 24
        self.layers = nn.ModuleDict({name: nn.Linear(width, self.width) for name, width in widths.items()})

    def forward(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        masks = {name: mask[:, None].float() for name, mask in present.items()}
        total = sum(self.layers[name](values) * masks[name] for name, values in features.items())
        return total / sum(masks.values()).clamp(min=1)  # type: ignore[union-attr]


class Narrow(Head):
    """One layer to `head_features`, and a classifier."""

    def __init__(self, in_features: int, num_outputs: int, config: ModelConfig, options: Section) -> None:
        super().__init__(in_features, num_outputs, config, options)
        self.features = nn.Sequential(nn.Linear(in_features, config.head_features), nn.Tanh())
        self.classifier = nn.Linear(config.head_features, num_outputs)


def first(networks: Sequence[Network], tasks: Mapping[str, Task]) -> Teacher:
    """Of several teachers the first one."""
    return NetworkTeacher(networks[0])


ENCODERS.register("patches", Patches)
FUSIONS.register("mean", Mean)
HEADS.register("narrow", Narrow)
OBJECTIVES.register("spread", Spread)
OBJECTIVES.register("guess", Guess)
KD_LOSSES.register("scaled", Scaled)
TEACHERS.register("first", first)
