"""Views that are cut out of the stored face as it is, without zoom: the store has it at more than the view's size.

A face stored at int(1.2 * 112) = 134 pixels has what zooming one of 112 pixels gives, from the photo itself: a view is
then a copy of some of its lines, the same to the bit on every device. Everything that networks are given has the
view's size; everything that is stored, or given for a prediction, the face's.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from abaw_ray.config import AugmentConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.threads import on_threads

PART = 64
"""Images that a thread copies at a time."""


def view_size(size: int, config: AugmentConfig) -> int:
    """Side in pixels of the views of faces of `size` pixels.

    Raises:
        ConfigurationError: views are to be larger than the faces.
    """
    if config.crop is None:
        return size
    if config.crop > size:
        raise ConfigurationError(
            f"augment.crop: found views of {config.crop} pixels, expected at most {size}, the side of the stored faces;"
            " prepare a store of a larger prepare.image_size, or leave augment.crop out to zoom"
        )
    return config.crop


def cut_views(images: Tensor, offsets: Tensor, flip: Tensor, size: int) -> Tensor:
    """Squares of images, mirrored where `flip` says.

    Args:
        images: (batch, S, S, 3) uint8.
        offsets: (batch, 2) whole numbers from 0 to S - size: left and top of each.
        flip: (batch,) bool.
        size: of the squares in pixels.

    Returns:
        (batch, 3, size, size) uint8; in memory channels are last.
    """
    if images.device.type == "cpu":
        return _copied(images.numpy(), offsets.long().tolist(), flip.tolist(), size)
    return _indexed(images, offsets.long(), flip, size)


def copy_squares(
    images: np.ndarray, corners: Sequence[Sequence[int]], flips: Sequence[bool], views: np.ndarray
) -> None:
    """Copies a square of each of `images` (n, S, S, 3), mirrored where `flips` says, into `views` (n, size, size, 3).

    Args:
        images: uint8.
        corners: left and top of each square.
        flips: of each.
        views: uint8, which are overwritten.
    """
    size = views.shape[1]
    for image, (x, y), flip, view in zip(images, corners, flips, views, strict=True):
        square = image[y : y + size, x : x + size]
        if flip:
            cv2.flip(square, 1, dst=view)
        else:
            view[:] = square


def _indexed(images: Tensor, offsets: Tensor, flip: Tensor, size: int) -> Tensor:
    steps = torch.arange(size, device=images.device)
    columns = torch.where(flip[:, None], size - 1 - steps, steps) + offsets[:, :1]
    lines = steps + offsets[:, 1:]
    number = torch.arange(len(images), device=images.device)
    return images[number[:, None, None], lines[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _copied(images: np.ndarray, corners: list[list[int]], flips: list[bool], size: int) -> Tensor:
    views = np.empty((len(images), size, size, 3), np.uint8)

    def part(start: int) -> None:
        rows = slice(start, start + PART)
        copy_squares(images[rows], corners[rows], flips[rows], views[rows])

    on_threads(part, range(0, len(images), PART))
    return torch.from_numpy(views).permute(0, 3, 1, 2)
