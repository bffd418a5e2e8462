"""Random changes of whole batches of images, on the device, each image by random numbers of its own.

On a CPU the chosen images are computed, on a GPU all of a batch: what is chosen is not known without waiting for it.
RandAugment does wait.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from abaw_ray.augmentation.draws import between, columns_of
from abaw_ray.augmentation.jpeg import jpeg_artefacts
from abaw_ray.augmentation.rand_augment import rand_augment
from abaw_ray.config import (
    AffineConfig,
    AugmentConfig,
    BlurConfig,
    ErasingConfig,
    JitterConfig,
    JpegConfig,
    Operation,
)

LUMA = (0.299, 0.587, 0.114)
"""Parts of red, green and blue in brightness (ITU-R BT.601)."""

SIGMAS = 3  # of a Gaussian, beyond which it is cut off


def change_images(images: Tensor, uniforms: Tensor, config: AugmentConfig) -> Tensor:
    """The operations that are switched on, one after the other.

    Args:
        images: (n, 3, S, S) uint8; they stay as they are.
        uniforms: (n, at least `num_uniforms(config)`) in [0, 1), on the same device.
        config: probabilities and strengths.

    Returns:
        (n, 3, S, S) uint8.
    """
    for name in config.operations:
        section, draws = getattr(config, name), uniforms[:, columns_of(name, config)]
        images = _changed(images, draws, section, OPERATIONS[name])
    return images


def _changed(images: Tensor, draws: Tensor, section: Operation, change: Callable[..., Tensor]) -> Tensor:
    chosen = draws[:, 0] < section.probability
    if images.device.type != "cpu" and change is not rand_augment:
        changed = _bytes(change(images.float(), draws[:, 1:], section))
        return torch.where(chosen[:, None, None, None], changed, images)
    places = chosen.nonzero()[:, 0]
    if not len(places):
        return images
    taken = images[places]
    given = taken if change is rand_augment else taken.float().contiguous()
    return images.index_put((places,), _bytes(change(given, draws[places, 1:], section)))


def _bytes(images: Tensor) -> Tensor:
    return images if images.dtype == torch.uint8 else images.round().clamp(0, 255).to(torch.uint8)


def affine(images: Tensor, draws: Tensor, config: AffineConfig) -> Tensor:
    """Images (n, 3, S, S) float turned, moved, scaled and sheared by draws (n, 5)."""
    angle, right, down, size, slant = draws.unbind(1)
    angle = torch.deg2rad(between(angle, -config.rotation, config.rotation))
    slant = torch.deg2rad(between(slant, -config.shear, config.shear)).tan()
    zoom = 1.0 / between(size, 1 - config.scale, 1 + config.scale)
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    # from places in the result to places in the image, in coordinates from -1 to 1
    right, down = (2 * between(way, -config.translation, config.translation) for way in (right, down))
    rows = [torch.stack([cos, slant * cos - sin, right], 1), torch.stack([sin, slant * sin + cos, down], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def jitter(images: Tensor, draws: Tensor, config: JitterConfig) -> Tensor:
    """Images (n, 3, S, S) float in other colours, by draws (n, 4).

    One linear map of colours an image (Karras et al., NeurIPS 2020, appendix B); the hue turns about the axis of greys.
    """
    names = ("brightness", "contrast", "saturation")
    brightness, contrast, saturation = (
        between(draws[:, i], 1 - getattr(config, name), 1 + getattr(config, name)) for i, name in enumerate(names)
    )
    luma = torch.tensor(LUMA, device=images.device)
    grey = (images.mean((2, 3)) * luma).sum(1) * brightness
    eye = torch.eye(3, device=images.device)
    less_colour = saturation[:, None, None] * eye + (1 - saturation)[:, None, None] * luma.expand(3, 3)
    turns = _turned_hue(2 * math.pi * between(draws[:, 3], -config.hue, config.hue))
    colours = (brightness * contrast)[:, None, None] * (turns @ less_colour)
    return torch.einsum("nck,nkyx->ncyx", colours, images) + ((1 - contrast) * grey)[:, None, None, None]


def _turned_hue(angle: Tensor) -> Tensor:
    """Turns (n, 3, 3) about the axis of greys (Rodrigues' formula)."""
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    eye = torch.eye(3, device=angle.device)
    cross = (eye.roll(1, 1) - eye.roll(-1, 1)) / -math.sqrt(3)
    return cos * eye + (1 - cos) / 3 + sin * cross


def grey(images: Tensor, draws: Tensor, config: Operation) -> Tensor:
    """Images (n, 3, S, S) float without colours."""
    luma = torch.tensor(LUMA, device=images.device)[:, None, None]
    return (images * luma).sum(1, keepdim=True).expand_as(images)


def blur(images: Tensor, draws: Tensor, config: BlurConfig) -> Tensor:
    """Images (n, 3, S, S) float blurred by draws (n, 1)."""
    num, channels, side, _ = images.shape
    radius = min(math.ceil(SIGMAS * config.sigma[1]), side - 1)
    sigma = between(draws[:, 0], *config.sigma)
    steps = torch.arange(-radius, radius + 1, device=images.device)
    kernels = torch.exp(-0.5 * (steps / sigma[:, None]) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None, None]
    padded = F.pad(images, (radius,) * 4, mode="reflect").reshape(1, num * channels, side + 2 * radius, -1)
    rows = F.conv2d(padded, kernels, groups=num * channels)
    return F.conv2d(rows, kernels.transpose(2, 3), groups=num * channels).reshape(images.shape)


def jpeg(images: Tensor, draws: Tensor, config: JpegConfig) -> Tensor:
    """Images (n, 3, S, S) float as JPEG of whole qualities gives them back, by draws (n, 1)."""
    low, high = config.quality
    return jpeg_artefacts(images, between(draws[:, 0], low, high + 1).floor())


def erasing(images: Tensor, draws: Tensor, config: ErasingConfig) -> Tensor:
    """Images (n, 3, S, S) float with a rectangle of their mean colour, by draws (n, 4)."""
    side = images.shape[-1]
    aspect = torch.exp(between(draws[:, 1], -math.log(config.aspect), math.log(config.aspect)))
    area = between(draws[:, 0], *config.area)
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    x, y = draws[:, 2] * (1 - width), draws[:, 3] * (1 - height)
    inside = box_mask(torch.stack([x, y, x + width, y + height], 1), side)
    return torch.where(inside[:, None], images.mean((2, 3), keepdim=True), images)


def box_mask(boxes: Tensor, side: int) -> Tensor:
    """Pixels (n, side, side) bool whose centres are in boxes (n, 4) of left, top, right and bottom, in sides."""
    centres = (torch.arange(side, device=boxes.device) + 0.5) / side
    left, top, right, bottom = boxes[:, :, None].unbind(1)
    across, along = (centres >= left) & (centres < right), (centres >= top) & (centres < bottom)
    return along[:, :, None] & across[:, None, :]


OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "affine": affine,
    "rand_augment": rand_augment,
    "jitter": jitter,
    "grey": grey,
    "blur": blur,
    "jpeg": jpeg,
    "erasing": erasing,
}
"""Section of `augment` -> what it does: images (n, 3, S, S), draws without the first, the section -> images."""
