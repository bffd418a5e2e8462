"""The evaluation view as matrix products, bit for bit that of a CPU.

torch resizes 8-bit images in integers (as Pillow does): first along lines, then along columns, each pass with 16-bit
weights and rounded to whole numbers. Sums of whole numbers below 2^24 are exact in float32, in any order, so that two
matrices of those weights give the same picture in every runtime. Other resizing would be off by 1 of 255 in places,
which moves predictions by more than the parity that is asked for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from abaw_ray.augmentation import zoomed_size
from abaw_ray.config import AugmentConfig
from abaw_ray.view_sizes import view_size

WEIGHT_BITS = 15
"""The largest weight is below 2 to this power."""


class CentreView(nn.Module):
    """Faces (n, size, size, 3) uint8 -> their evaluation view (n, 3, V, V), whole numbers as float32.

    Args:
        size: of faces in pixels.
        config: zoom or crop; V = `view_size(size, config)`.
    """

    weights: Tensor

    def __init__(self, size: int, config: AugmentConfig) -> None:
        super().__init__()
        zoomed, side = zoomed_size(size, config), view_size(size, config)
        weights, self._bits = resize_weights(size, zoomed)
        offset = (zoomed - side) // 2
        self._part = slice(offset, offset + side)
        self.register_buffer("weights", weights[self._part], persistent=False)
        self._is_whole = zoomed == size

    def forward(self, faces: Tensor) -> Tensor:
        pixels = faces.permute(0, 3, 1, 2).float()
        if self._is_whole:
            return pixels[:, :, self._part, self._part]
        lines = self._rounded(pixels @ self.weights.T)
        return self._rounded(self.weights @ lines)

    def _rounded(self, sums: Tensor) -> Tensor:
        return ((sums + 2.0 ** (self._bits - 1)) * 2.0**-self._bits).floor().clamp(0.0, 255.0)


def resize_weights(size: int, new_size: int) -> tuple[Tensor, int]:
    """Bilinear weights (new_size, size) of torch's resizing of 8-bit images, whole numbers, and their binary places."""
    weights = torch.zeros(new_size, size, dtype=torch.float64)
    for place in range(new_size):
        centre = (place + 0.5) * (size / new_size) - 0.5
        first = math.floor(centre)
        for pixel, weight in ((first, first + 1 - centre), (first + 1, centre - first)):
            weights[place, min(max(pixel, 0), size - 1)] += weight
    largest, bits = float(weights.max()), 0
    while int(0.5 + largest * 2 ** (bits + 1)) < 2**WEIGHT_BITS:
        bits += 1
    return (weights * 2**bits + 0.5).floor().float(), bits
