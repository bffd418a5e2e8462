"""RandAugment (Cubuk et al., CVPR Workshops 2020) with torchvision's operations, drawn for each image by itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from torch import Tensor

from abaw_ray.config import RandAugmentConfig

MAX_MAGNITUDE = 30
FILL = 128.0
"""Grey level of what comes into an image from outside."""

Change = Callable[[Tensor, float], Tensor]


def rand_augment(images: Tensor, draws: Tensor, config: RandAugmentConfig) -> Tensor:
    """Images (n, 3, S, S) uint8 after some operations each, drawn by draws (n, 2 * num_operations)."""
    operations, strength = _operations(), config.magnitude / MAX_MAGNITUDE
    for number in range(config.num_operations):
        which = (draws[:, 2 * number] * len(operations)).long()
        down = draws[:, 2 * number + 1] < 0.5
        changed = images.clone()
        for place, operation in enumerate(operations):
            for sign, of_sign in ((-1.0, down), (1.0, ~down)):
                rows = ((which == place) & of_sign).nonzero()[:, 0]
                if len(rows):
                    changed[rows] = operation(images[rows], sign * strength)
        images = changed
    return images


@cache
def _operations() -> tuple[Change, ...]:
    """The paper's 14; each takes images and a strength from -1 to 1, whose sign some have no use for."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional as tv

    def warped(x: Tensor, angle: float = 0.0, right: float = 0.0, down: float = 0.0, *slant: float) -> Tensor:
        side, shear = x.shape[-1], [math.degrees(math.atan(s)) for s in slant or (0.0, 0.0)]
        ways = [round(right * side), round(down * side)]
        return tv.affine(x, angle, ways, 1.0, shear, interpolation=InterpolationMode.BILINEAR, fill=[FILL] * 3)

    return (
        lambda x, s: x,
        lambda x, s: warped(x, 30.0 * s),
        lambda x, s: warped(x, 0.0, 0.45 * s),
        lambda x, s: warped(x, 0.0, 0.0, 0.45 * s),
        lambda x, s: warped(x, 0.0, 0.0, 0.0, 0.3 * s, 0.0),
        lambda x, s: warped(x, 0.0, 0.0, 0.0, 0.0, 0.3 * s),
        lambda x, s: tv.adjust_brightness(x, 1.0 + 0.9 * s),
        lambda x, s: tv.adjust_contrast(x, 1.0 + 0.9 * s),
        lambda x, s: tv.adjust_saturation(x, 1.0 + 0.9 * s),
        lambda x, s: tv.adjust_sharpness(x, 1.0 + 0.9 * s),
        lambda x, s: tv.posterize(x, 8 - round(4 * abs(s))),
        lambda x, s: tv.solarize(x, 255.0 * (1.0 - abs(s))),
        lambda x, s: tv.autocontrast(x),
        lambda x, s: tv.equalize(x),
    )
