"""Kinds of networks. A module of `models` that defines `NETWORK` is one, under the module's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from abaw_ray.config import ModelConfig, Recipe
from abaw_ray.models.encoders.base import Shape
from abaw_ray.models.parts import Setting
from abaw_ray.models.sets import Network
from abaw_ray.plugins import Registry
from abaw_ray.streams.base import FACE
from abaw_ray.view_sizes import view_size


class Build(Protocol):
    """Builds a network with its first weights."""

    def __call__(self, recipe: Recipe, outputs: Mapping[str, int], shapes: Mapping[str, Shape]) -> Network:
        """The network of a recipe.

        Args:
            recipe: its sections `model`, `temporal`, `tasks` and `augment`.
            outputs: task -> length of its output.
            shapes: stream -> shape of one of its samples; networks take what `input_shapes` makes of it.

        Raises:
            ConfigurationError, MissingInputError: as of its parts.
        """
        ...


NETWORKS: Registry[Build] = Registry("abaw_ray.models", "NETWORK", "kind of network")


def kind_of(model: ModelConfig) -> str:
    """The kind of network that a recipe says, over frames: with encoders by stream, or the CNN."""
    return "streams" if model.encoders else "cnn"


def of_frames(kind: str) -> bool:
    """Whether networks of a kind take samples of frames, and not the features of another network."""
    return kind != "temporal"


def streams_of(model: ModelConfig) -> tuple[str, ...]:
    """Names of the streams that a network of frames takes."""
    return tuple(model.encoders) or (FACE,)


def frame_shapes(image_size: int) -> dict[str, Shape]:
    """Stream -> shape of one sample, of the streams that every store has: faces of `image_size` pixels."""
    return {FACE: (3, image_size, image_size)}


def input_shapes(recipe: Recipe, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Stream -> shape of what a network is given of a sample, from those of samples: of faces, their views.

    Raises:
        ConfigurationError: views are to be larger than the faces.
    """
    given = dict(shapes)
    if FACE in given:
        side = view_size(given[FACE][-1], recipe.augment)
        given[FACE] = (*given[FACE][:-2], side, side)
    return given


def own_heads(recipe: Recipe) -> dict[str, Setting]:
    """Task -> its head, of those that have another one than `model.head`."""
    return {name: options["head"] for name, options in recipe.tasks.items() if options.get("head") is not None}
