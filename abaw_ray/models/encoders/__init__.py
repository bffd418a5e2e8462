"""Encoders of streams, one file each. A module here that defines `ENCODER` is one."""

from __future__ import annotations

from abaw_ray.config import ModelConfig, parse_options
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.encoders.base import Encoder, Shape
from abaw_ray.models.parts import Setting, chosen
from abaw_ray.plugins import Registry

ENCODERS: Registry[type[Encoder]] = Registry(__name__, "ENCODER", "encoder")


def build_encoder(setting: Setting, key: str, shape: Shape, config: ModelConfig) -> Encoder:
    """The encoder that a setting names.

    Args:
        setting: of the recipe.
        key: of the setting, for messages.
        shape: of one sample of its stream.
        config: what its options leave open.

    Raises:
        ConfigurationError: an unknown encoder or option, or a stream that it does not take.
        MissingInputError: a file of weights is not there.
    """
    encoder, options = chosen(ENCODERS, setting, key)
    if encoder.axes and len(shape) != len(encoder.axes):
        raise ConfigurationError(
            f"{key}: it takes samples of the axes {', '.join(encoder.axes)}; found a stream of shape {tuple(shape)}"
        )
    return encoder(parse_options(encoder.Options, options, key), shape, config)
