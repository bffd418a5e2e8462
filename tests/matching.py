"""A tiny network and synthetic faces of two made-up label spaces, for tests of objectives that look at images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from learners import training_recipe
from torch import nn

from abaw_ray.config import Recipe
from abaw_ray.inference.samples import FrameSamples
from abaw_ray.models.outputs import SetsOutput
from abaw_ray.models.sets import Network
from abaw_ray.objectives import build_objectives
from abaw_ray.objectives.base import Context, Objective
from abaw_ray.objectives.supervised import Supervised
from abaw_ray.objectives.terms import SetLabels
from abaw_ray.spaces import LabelSpace
from abaw_ray.streams.base import FACE
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.base import Task
from abaw_ray.training.data import SetBatch
from abaw_ray.training.step import Learner
from abaw_ray.world import World

COLOURS = LabelSpace(name="colours", kind="multiclass", names=("red", "green", "blue"))
LIGHT = LabelSpace(name="light", kind="regression", names=("brightness", "slope"), low=1.0, high=10.0)
SET, WIDTH, SIDE = "both", 24, 16
OPTIONS = {"image_size": 16, "width": 4, "features": 32, "noise": 6}
"""Of a narrow `joint_matching`."""


def tasks_of(recipe: Recipe) -> dict[str, Task]:
    return build_tasks((COLOURS, LIGHT), recipe.loss, recipe.model)


class TinyNetwork(Network):
    """Coarse images -> features -> logits."""

    def __init__(self, outputs: Mapping[str, int]) -> None:
        super().__init__()
        self.features = nn.Linear(3 * 4 * 4, WIDTH)
        self.classifiers = nn.ModuleDict({name: nn.Linear(WIDTH, num) for name, num in outputs.items()})

    def forward_sets(self, inputs: Mapping[str, Any]) -> SetsOutput:
        logits, features = {}, {}
        for source, samples in inputs.items():
            coarse = F.adaptive_avg_pool2d(samples.streams[FACE].float() / 127.5 - 1, 4).flatten(1)
            shared = self.features(coarse).relu()
            logits[source] = {name: layer(shared) for name, layer in self.classifiers.items()}
            features[source] = dict.fromkeys(self.classifiers, shared)
        return SetsOutput(logits, features)

    @property
    def feature_widths(self) -> dict[str, int]:
        return dict.fromkeys(self.classifiers, WIDTH)


def synthetic_batch(num: int, seed: int, share_unlabelled: float = 0.25) -> dict[str, SetBatch]:
    """Images of mixed colours, most of one, of some brightness that changes from top to bottom; and labels of them."""
    draw = torch.Generator().manual_seed(seed)
    place = torch.randint(3, (num,), generator=draw)
    values = torch.rand(num, 2, generator=draw)
    rows = torch.linspace(-1, 1, SIDE)
    light = 90 + 80 * values[:, :1] + 60 * (values[:, 1:] - 0.5) * rows
    colour = 0.5 * F.one_hot(place, 3) + 0.8 * torch.rand(num, 3, generator=draw)
    noise = 20 * torch.rand(num, 3, SIDE, SIDE, generator=draw)
    images = noise + colour[:, :, None, None] * light[:, None, :, None]
    labels = {"colours": F.one_hot(place, 3).float(), "light": 1 + 9 * values}
    labelled = {name: torch.rand(num, generator=draw) >= share_unlabelled for name in labels}
    labels = {name: torch.where(labelled[name][:, None], found, torch.nan) for name, found in labels.items()}
    present = {FACE: torch.ones(num, dtype=torch.bool)}
    samples = FrameSamples({FACE: images.clamp(0, 255).to(torch.uint8)}, present, {})
    return {SET: SetBatch(samples, None, SetLabels(labels, labelled))}


def part_of(batch: dict[str, SetBatch], world: World) -> dict[str, SetBatch]:
    """A worker's rows."""
    return {name: found.map(lambda values: values.chunk(world.size)[world.rank]) for name, found in batch.items()}


def matching_of(tasks: Mapping[str, Task], **options: Any) -> dict[str, Objective]:
    """The objective as a recipe names it, narrow."""
    context = Context(tasks, {SET: tuple(tasks)}, dict.fromkeys(tasks, WIDTH), {FACE: (3, SIDE, SIDE)})
    return build_objectives({"joint_matching": OPTIONS | options}, context)


def matching_learner(world: World | None = None, seed: int = 0, matches: bool = True, **options: Any) -> Learner:
    """A learner of the tiny network and the objective, made from a seed."""
    recipe = training_recipe("train.learning_rate=0.01")
    torch.manual_seed(seed)
    tasks = tasks_of(recipe)
    network = TinyNetwork({name: task.num_outputs for name, task in tasks.items()})
    added = matching_of(tasks, **options) if matches else {}
    return Learner(network, None, Supervised(tasks, {SET: tuple(tasks)}), added, recipe, world or World())
