"""Any torch module as an encoder, by its dotted path."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from abaw_ray.config import ModelConfig, Section
from abaw_ray.errors import ConfigurationError
from abaw_ray.models.encoders.base import Encoder, Shape
from abaw_ray.plugins import OBJECT_PATH, object_at


class ModuleOptions(Section):
    """Options of the encoder."""

    path: str = Field(pattern=rf"^{OBJECT_PATH}$")
    """Module and class, or a function that makes one, as `my_package.audio:Wav2Vec`; on the path of every process."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments that it is made with."""


class TorchModule(Encoder):
    """Samples (rows, *shape) float -> the output (rows, width) of a torch module, which is asked for its width once.

    Outputs of more axes, as (rows, width, steps), are averaged over the last ones.

    Raises:
        ConfigurationError: it cannot be imported or made, or gives anything else for a batch of zeros.
    """

    Options = ModuleOptions
    axes = ()

    def __init__(self, options: ModuleOptions, shape: Shape, config: ModelConfig) -> None:
        super().__init__(options, shape, config)
        self.module = _made(options)
        self.width = _width(self.module, options.path, shape)

    def forward(self, samples: Tensor) -> Tensor:
        return _vectors(self.module(samples.float()))


def _made(options: ModuleOptions) -> nn.Module:
    try:
        made = object_at(options.path)(**options.arguments)
    except Exception as error:  # whatever somebody's code does
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigurationError(f"{options.path} cannot be made with {options.arguments}: {reason}") from error
    if not isinstance(made, nn.Module):
        raise ConfigurationError(f"{options.path}: found {type(made).__name__}, expected a torch module")
    return made


def _width(module: nn.Module, path: str, shape: Shape) -> int:
    was_training = module.training
    try:
        with torch.no_grad():
            found = _vectors(module.eval()(torch.zeros(2, *shape)))
    except Exception as error:  # whatever somebody's code does
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigurationError(f"{path} does not take samples of shape {tuple(shape)}: {reason}") from error
    module.train(was_training)
    if found.dim() != 2 or len(found) != 2:
        raise ConfigurationError(f"{path}: found an output of shape {tuple(found.shape)}, expected (2, width)")
    return found.shape[1]


def _vectors(output: Tensor) -> Tensor:
    return output.flatten(2).mean(2) if output.dim() > 2 else output


ENCODER = TorchModule
