"""The CNNs that a temporal network goes on from: what it takes over from them, and whether they go together."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from abaw_ray.config import JoinedCNN, Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.kinds import own_heads

VIEWS = ("zoom", "crop", "flip")
"""Settings of `augment` that the views of windows are made by."""


def inherited(cnns: Sequence[Checkpoint], recipe: Recipe) -> Recipe:
    """`recipe` with what a temporal network takes over from its CNNs.

    Args:
        cnns: in the order of their features: `tasks`, `model` and `augment` of the first, what `temporal.joined` needs
            of the others.
        recipe: of the temporal network.
    """
    first, *others = cnns
    sections = {key: getattr(first.recipe, key) for key in ("tasks", "model", "augment")}
    temporal = recipe.temporal.model_copy(update={"joined": [_joined(cnn) for cnn in others]})
    return recipe.model_copy(update={**sections, "temporal": temporal})


def hashes_of(cnns: Sequence[Checkpoint]) -> str | tuple[str, ...]:
    """What a temporal network's checkpoint knows its CNNs by: see `checkpoint.Description.cnn_sha256`."""
    return as_noted([cnn.weights_sha256() for cnn in cnns])


def as_noted(hashes: Sequence[str]) -> str | tuple[str, ...]:
    """Hashes of the weights of CNNs in the order of their features, as a checkpoint notes them."""
    return hashes[0] if len(hashes) == 1 else tuple(hashes)


def require_alike(cnns: Sequence[Checkpoint], tasks: Collection[str]) -> None:
    """Checks that features of CNNs can be joined.

    Args:
        cnns: in the order of their features.
        tasks: of the temporal network.

    Raises:
        ConfigurationError: one has no head for a task, or takes other views than the first.
    """
    first, *others = cnns
    for cnn in others:
        missing = [task for task in tasks if task not in cnn.description.tasks]
        if missing:
            raise ConfigurationError(
                f"{cnn.path}: found a CNN of {', '.join(cnn.description.tasks)}, expected {', '.join(missing)} too:"
                f" its features are joined to those of {first.path}"
            )
        if _views(cnn) != _views(first):
            raise ConfigurationError(
                f"{cnn.path}: found a CNN of views with {_views(cnn)}; expected {_views(first)}, as of {first.path},"
                " to whose features its own are joined"
            )


def _joined(cnn: Checkpoint) -> JoinedCNN:
    outputs = {name: task.num_outputs for name, task in cnn.tasks(cnn.recipe).items()}
    return JoinedCNN(model=cnn.recipe.model, heads=own_heads(cnn.recipe), outputs=outputs)


def _views(cnn: Checkpoint) -> str:
    return ", ".join(f"augment.{key}={getattr(cnn.recipe.augment, key)}" for key in VIEWS)
