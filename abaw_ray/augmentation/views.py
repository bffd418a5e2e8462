"""Zoom, random crop and flip on whole batches, on the device (the default of the paper's reference code).

The reference resizes a face to int(zoom * size), which gives whole numbers again, and crops size x size from it. On a
GPU both are one bilinear sampling; on a CPU the resize is fixed-point arithmetic, five times as fast. They differ by at
most 1 of 255.

A window over time has one random number v for all its frames: the crop lies on the diagonal at int(v * margin), and is
flipped if v is small. So there are few variants of a window (22 at 112 pixels), whose features can all be kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from abaw_ray.config import AugmentConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.threads import on_threads
from abaw_ray.view_sizes import copy_squares, cut_views, view_size

NUM_UNIFORMS = 3
"""Random numbers a sample needs: crop x, crop y, flip."""

PART = 32
"""Images that a thread resizes at a time: they stay in its cache."""

CORNERS = ((0, 0), (1, 1), (1, 0), (0, 1))
"""Left or right, and top or bottom, in the order in which views are taken towards them."""

NUM_EVALUATION_VIEWS = 2 * (1 + len(CORNERS))


def zoomed_size(size: int, config: AugmentConfig) -> int:
    """Side in pixels of the zoomed face that crops are taken from; with `crop` it is the stored one."""
    return int(config.zoom * size) if config.crop is None else size


def random_views(images: Tensor, uniforms: Tensor, config: AugmentConfig) -> Tensor:
    """Random crops and flips.

    Args:
        images: (batch, size, size, 3) uint8.
        uniforms: (batch, NUM_UNIFORMS) in [0, 1), on the same device.
        config: zoom or crop, and probability of a flip.

    Returns:
        (batch, 3, V, V) uint8, V = `view_size(size, config)`.
    """
    num_offsets = _margin(images.shape[1], config) + 1
    offsets = (uniforms[:, :2] * num_offsets).floor()
    return _views(images, offsets, uniforms[:, 2] < config.flip, config)


def fixed_uniforms(images: np.ndarray, views: np.ndarray, seed: int) -> np.ndarray:
    """The random numbers of view number `views` (n,) of images: (n, NUM_UNIFORMS) float32 in [0, 1).

    Each image has views of its own, so that a few of each still show the network every crop.

    Args:
        images: (n,) uint64 of `Store.image_ids`.
        views: (n,) number of the view, from 0.
        seed: other seeds give other views.
    """
    image = _scrambled(images[:, None].astype(np.uint64) + _scrambled(np.array([seed], np.uint64)))
    number = views[:, None].astype(np.uint64) * np.uint64(NUM_UNIFORMS) + np.arange(NUM_UNIFORMS, dtype=np.uint64)
    return ((_scrambled(image + number) >> np.uint64(40)) * 2.0**-24).astype(np.float32)


def centre_views(images: Tensor, config: AugmentConfig) -> Tensor:
    """The evaluation view: the centre of the zoomed face; shapes as in `random_views`."""
    return evaluation_views(images, 0, config)


def evaluation_views(images: Tensor, number: int, config: AugmentConfig) -> Tensor:
    """One of the ten views whose predictions can be averaged: the centre, its mirror image, then crops half way towards
    the four corners, every other one mirrored, then those crops the other way round.

    They are those of Krizhevsky et al. (NeurIPS 2012), who take the corners themselves, which show less of a face: the
    averaged probabilities are worse calibrated.

    Args:
        images: (batch, size, size, 3) uint8.
        number: of the view, from 0, the centre, to `NUM_EVALUATION_VIEWS` - 1.
        config: zoom or crop.

    Returns:
        (batch, 3, V, V) uint8 as `random_views`.
    """
    margin = _margin(images.shape[1], config)
    if number < 2:
        x, y, is_mirrored = margin // 2, margin // 2, number == 1
    else:
        turn, corner = divmod(number - 2, len(CORNERS))
        x, y = (margin - margin // 4 if far else margin // 4 for far in CORNERS[corner])
        is_mirrored = corner % 2 != turn
    offsets = torch.tensor([[x, y]], dtype=torch.float32, device=images.device).expand(len(images), -1)
    return _views(images, offsets, torch.full((len(images),), is_mirrored, device=images.device), config)


def require_evaluation_views(size: int, num_views: int, config: AugmentConfig) -> None:
    """Checks that faces of `size` pixels have so many different evaluation views.

    Raises:
        ConfigurationError: views are as large as the face, so that there are but two.
    """
    if num_views > 2 and _margin(size, config) == 0:
        raise ConfigurationError(
            f"train.test_views: found {num_views}; faces of {size} pixels that are neither zoomed (augment.zoom) nor"
            " cut (augment.crop) have 2, themselves and their mirror images"
        )


@dataclass(frozen=True)
class Variants:
    """Every view that a window's frames can have, in the order of v.

    Args:
        offsets: (k,) int64 crop offset in pixels, the same in x and y.
        flips: (k,) bool.
        margin: pixels that the zoomed face is larger than a view.
        flip: probability of a flip.
    """

    offsets: np.ndarray
    flips: np.ndarray
    margin: int
    flip: float

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def centre(self) -> int:
        """The variant that is the evaluation view."""
        return int(np.flatnonzero((self.offsets == self.margin // 2) & ~self.flips)[0])

    def of(self, v: np.ndarray) -> np.ndarray:
        """The variant of each window from its random number (windows,) in [0, 1)."""
        place = {(o, f): i for i, (o, f) in enumerate(zip(self.offsets.tolist(), self.flips.tolist(), strict=True))}
        offsets = np.floor(v * self.margin).astype(np.int64).tolist()
        flips = (v < self.flip).tolist()
        return np.array([place[key] for key in zip(offsets, flips, strict=True)], np.int64)


def window_variants(size: int, config: AugmentConfig) -> Variants:
    """The variants of windows of `size` x `size` images."""
    margin = _margin(size, config)
    steps = max(margin, 1)
    pairs = []
    for offset in range(steps):
        # v from offset / steps to (offset + 1) / steps
        if offset < config.flip * steps:
            pairs.append((offset, True))
        if offset + 1 > config.flip * steps or offset == margin // 2:  # the evaluation view is always one
            pairs.append((offset, False))
    offsets, flips = zip(*pairs, strict=True)
    return Variants(np.array(offsets), np.array(flips), margin, config.flip)


def variant_views(images: Tensor, variants: Variants, chosen: np.ndarray, config: AugmentConfig) -> Tensor:
    """Images (n, size, size, 3) uint8 as the variants `chosen` (n,): (n, 3, V, V) uint8, V as of `random_views`."""
    offsets = torch.from_numpy(variants.offsets[chosen]).to(images.device)
    flips = torch.from_numpy(variants.flips[chosen]).to(images.device)
    return _views(images, offsets[:, None].expand(-1, 2).float(), flips, config)


def _scrambled(bits: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit numbers whose values look random (the SplitMix64 generator's step)."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _margin(size: int, config: AugmentConfig) -> int:
    """Pixels that the face that views are taken from is larger than a view."""
    return zoomed_size(size, config) - view_size(size, config)


def _views(images: Tensor, offsets: Tensor, flip: Tensor, config: AugmentConfig) -> Tensor:
    if config.crop is not None:
        return cut_views(images, offsets, flip, config.crop)
    zoomed = zoomed_size(images.shape[1], config)
    if images.device.type == "cpu":
        return _resized_crops(images, offsets.long(), flip, zoomed)
    return _sampled(images, offsets, flip, zoomed)


def _sampled(images: Tensor, offsets: Tensor, flip: Tensor, zoomed: int) -> Tensor:
    size = images.shape[1]
    steps = torch.arange(size, device=images.device, dtype=torch.float32).expand(len(images), size)
    columns = torch.where(flip[:, None], size - 1 - steps, steps)
    # pixel i of a crop at offset o lies at i + o of the zoomed face: (-1, 1) spans the face's edges
    x = (columns + offsets[:, :1] + 0.5) * (2.0 / zoomed) - 1.0
    y = (steps + offsets[:, 1:] + 0.5) * (2.0 / zoomed) - 1.0
    grid = torch.stack([x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=-1)
    pixels = images.permute(0, 3, 1, 2).float()
    views = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return views.round_().to(torch.uint8)


def _resized_crops(images: Tensor, offsets: Tensor, flip: Tensor, zoomed: int) -> Tensor:
    """On the CPU, in parts by several threads; the result is channels-last."""
    size = images.shape[1]
    views = np.empty((len(images), size, size, 3), np.uint8)
    corners, flips = offsets.tolist(), flip.tolist()

    def part(start: int) -> None:
        rows = slice(start, start + PART)
        faces = images[rows].permute(0, 3, 1, 2)
        large = F.interpolate(faces, size=(zoomed, zoomed), mode="bilinear").permute(0, 2, 3, 1).numpy()
        copy_squares(large, corners[rows], flips[rows], views[rows])

    on_threads(part, range(0, len(images), PART))
    return torch.from_numpy(views).permute(0, 3, 1, 2)
