"""What JPEG loses, computed on whole batches on any device: a transform of blocks, and rounding.

No file is written: entropy coding loses nothing. Against OpenCV's own files it differs by less than a grey level in the
mean, from other rounding within.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8

# ITU-T T.81, tables K.1 and K.2
BRIGHTNESS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
COLOUR = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)

# JFIF: red, green, blue -> brightness, and colours about 0
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def jpeg_artefacts(images: Tensor, quality: Tensor) -> Tensor:
    """Images as JPEG files of some quality give them back, with colours at half the size (4:2:0).

    Args:
        images: (n, 3, height, width) float, 0 to 255.
        quality: (n,) float, whole numbers from 1 to 100, as libjpeg's.

    Returns:
        (n, 3, height, width) float.
    """
    height, width = images.shape[2:]
    whole = F.pad(images, (0, -width % (2 * BLOCK), 0, -height % (2 * BLOCK)), mode="replicate")
    # planes are whole numbers before and after, as in libjpeg
    ycc = torch.einsum("ck,nkyx->ncyx", torch.tensor(TO_YCC, device=images.device), whole).round()
    scale = torch.where(quality < 50, 5000.0 / quality, 200.0 - 2.0 * quality).floor()
    bright = _coded(ycc[:, :1] - 128.0, scale, BRIGHTNESS) + 128.0
    colours = _coded(F.avg_pool2d(ycc[:, 1:], 2).round(), scale, COLOUR)
    colours = F.interpolate(colours, scale_factor=2, mode="bilinear", align_corners=False)
    both = torch.cat([bright, colours], 1)
    found = torch.einsum("ck,nkyx->ncyx", torch.tensor(TO_RGB, device=images.device), both)
    return found[:, :, :height, :width].clamp(0, 255)


def _coded(planes: Tensor, scale: Tensor, table: tuple[tuple[int, ...], ...]) -> Tensor:
    """Planes (n, k, height, width) with the coefficients of their blocks rounded to multiples of the scaled table."""
    num, channels, height, width = planes.shape
    steps = torch.tensor(table, device=planes.device, dtype=torch.float32)
    steps = ((steps * scale[:, None, None] + 50.0) / 100.0).floor().clamp(1, 255)[:, None, None, None]
    cosines = _cosines(planes.device)
    blocks = planes.view(num, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(3, 4)
    kept = ((cosines @ blocks @ cosines.T) / steps).round() * steps
    return (cosines.T @ kept @ cosines).transpose(3, 4).reshape(planes.shape).round().clamp(-128, 127)


def _cosines(device: torch.device) -> Tensor:
    """The orthonormal discrete cosine transform (8, 8) of a row."""
    places = torch.arange(BLOCK, device=device, dtype=torch.float32)
    waves = torch.cos((2 * places + 1) * places[:, None] * (math.pi / (2 * BLOCK))) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2)
    return waves
