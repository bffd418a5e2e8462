"""Zoom, random crop and flip on whole batches, on the device (the default of the paper's reference code).

The reference resizes a face to int(zoom * size) and crops size x size from it. Both are one bilinear sampling here,
with the numbers of a resize followed by a crop.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from abaw_ray.config import AugmentConfig

NUM_UNIFORMS = 3
"""Random numbers a sample needs: crop x, crop y, flip."""


def zoomed_size(size: int, config: AugmentConfig) -> int:
    """Side in pixels of the zoomed face that crops are taken from."""
    return int(config.zoom * size)


def random_views(images: Tensor, uniforms: Tensor, config: AugmentConfig) -> Tensor:
    """Random crops and flips.

    Args:
        images: (batch, size, size, 3) uint8.
        uniforms: (batch, NUM_UNIFORMS) in [0, 1), on the same device.
        config: zoom, and probability of a flip.

    Returns:
        (batch, 3, size, size) float32, 0-255.
    """
    size = images.shape[1]
    num_offsets = zoomed_size(size, config) - size + 1
    offsets = (uniforms[:, :2] * num_offsets).floor()
    return _views(images, offsets, uniforms[:, 2] < config.flip, config)


def centre_views(images: Tensor, config: AugmentConfig) -> Tensor:
    """The evaluation view: the centre of the zoomed face; shapes as in `random_views`."""
    size = images.shape[1]
    offset = float((zoomed_size(size, config) - size) // 2)
    offsets = torch.full((len(images), 2), offset, device=images.device)
    return _views(images, offsets, torch.zeros(len(images), dtype=torch.bool, device=images.device), config)


def _views(images: Tensor, offsets: Tensor, flip: Tensor, config: AugmentConfig) -> Tensor:
    size = images.shape[1]
    zoomed = zoomed_size(size, config)
    steps = torch.arange(size, device=images.device, dtype=torch.float32).expand(len(images), size)
    columns = torch.where(flip[:, None], size - 1 - steps, steps)
    # pixel i of a crop at offset o lies at i + o of the zoomed face: (-1, 1) spans the face's edges
    x = (columns + offsets[:, :1] + 0.5) * (2.0 / zoomed) - 1.0
    y = (steps + offsets[:, 1:] + 0.5) * (2.0 / zoomed) - 1.0
    grid = torch.stack([x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=-1)
    pixels = images.permute(0, 3, 1, 2).float()
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
