"""Random changes of whole batches of sounds, log-mel windows as `streams.audio` has them, each by random numbers of its
own."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from abaw_ray.augmentation.draws import between, columns_of
from abaw_ray.config import AugmentConfig, GainConfig, NoiseConfig, SpecMasksConfig

OFFSET = 0.01
"""What log-mel windows have added to magnitudes before the logarithm (`preprocess.sounds`)."""


def change_sounds(windows: Tensor, uniforms: Tensor, config: AugmentConfig) -> Tensor:
    """The operations that are switched on, one after the other.

    Args:
        windows: (n, bands, steps), logarithms of magnitudes plus 0.01; they stay as they are.
        uniforms: (n, at least `num_uniforms(config)`) in [0, 1), on the same device.
        config: probabilities and strengths.

    Returns:
        (n, bands, steps) of the same type.
    """
    changed = windows.float()
    for name in config.sound_operations:
        section, draws = getattr(config, name), uniforms[:, columns_of(name, config)]
        chosen = (draws[:, 0] < section.probability)[:, None, None]
        changed = torch.where(chosen, OPERATIONS[name](changed, draws[:, 1:], section), changed)
    return changed.to(windows.dtype) if config.sound_operations else windows


def gain(windows: Tensor, draws: Tensor, config: GainConfig) -> Tensor:
    """Windows (n, bands, steps) louder or softer by draws (n, 1); silence stays silence."""
    factor = _ratio(between(draws[:, 0], -config.decibels, config.decibels))
    return _log(_magnitudes(windows) * factor[:, None, None])


def noise(windows: Tensor, draws: Tensor, config: NoiseConfig) -> Tensor:
    """Windows (n, bands, steps) with noise under them by draws (n, 2): ratio of powers, and tilt. Powers add up."""
    magnitudes = _magnitudes(windows)
    low, high = config.decibels
    tilt = between(draws[:, 1], -config.tilt / 2, config.tilt / 2)
    shape = _ratio(tilt[:, None] * torch.linspace(-1, 1, windows.shape[1], device=windows.device))
    shape = shape / shape.square().mean(1, keepdim=True).sqrt()
    power = magnitudes.square().mean((1, 2)).sqrt() / _ratio(between(draws[:, 0], low, high))
    return _log((magnitudes.square() + (power[:, None] * shape).square()[:, :, None]).sqrt())


def spec_masks(windows: Tensor, draws: Tensor, config: SpecMasksConfig) -> Tensor:
    """Windows (n, bands, steps) with their means in bands and steps that draws (n, 4 a mask) choose: the width of each
    mask of bands, its place, then of steps."""
    hidden = torch.zeros_like(windows, dtype=torch.bool)
    for number in range(config.masks):
        across = draws[:, 4 * number : 4 * number + 2]
        along = draws[:, 4 * number + 2 : 4 * number + 4]
        hidden |= _inside(across, config.bands, windows.shape[1])[:, :, None]
        hidden |= _inside(along, config.steps, windows.shape[2])[:, None, :]
    return torch.where(hidden, windows.mean((1, 2), keepdim=True), windows)


def _inside(draws: Tensor, most: float, size: int) -> Tensor:
    """Places (n, size) bool inside of intervals of 0 to `most` of `size` places, by draws (n, 2)."""
    width = (draws[:, 0] * (math.floor(most * size) + 1)).floor()
    first = (draws[:, 1] * (size - width + 1)).floor()
    places = torch.arange(size, device=draws.device)
    return (places >= first[:, None]) & (places < (first + width)[:, None])


def _magnitudes(windows: Tensor) -> Tensor:
    return (windows.exp() - OFFSET).clamp(min=0.0)


def _log(magnitudes: Tensor) -> Tensor:
    return (magnitudes + OFFSET).log()


def _ratio(decibels: Tensor) -> Tensor:
    """Of magnitudes."""
    return 10.0 ** (decibels / 20.0)


OPERATIONS: dict[str, Callable[..., Tensor]] = {"gain": gain, "noise": noise, "spec_masks": spec_masks}
"""Section of `augment` -> what it does: windows (n, bands, steps), draws without the first, the section -> windows."""
