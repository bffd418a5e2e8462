"""Mean and deviation that pixels are normalised with."""

from __future__ import annotations

from typing import NamedTuple

Colour = tuple[float, float, float]
"""Of red, green and blue, 0-255."""


class Colours(NamedTuple):
    """Pixel mean and deviation."""

    mean: Colour
    std: Colour

    @classmethod
    def of_imagenet(cls) -> Colours:
        """Those of ImageNet, with which most weights were trained."""
        return cls((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
