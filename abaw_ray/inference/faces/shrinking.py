"""Large pictures made smaller before faces are looked for."""

from __future__ import annotations

import cv2
import numpy as np


def shrunk(picture: np.ndarray, longest_side: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture no side of which is longer, and how many pixels of the large one a pixel of it has.

    Args:
        picture: (height, width) or (height, width, 3) uint8.
        longest_side: in pixels.

    Returns:
        The picture itself, if it is as small, and (2,) float64 across and down: sides are whole numbers, so that the
        two differ a little.
    """
    height, width = picture.shape[:2]
    scale = min(1, longest_side / max(height, width))
    if scale < 1:
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return picture, np.array([width / picture.shape[1], height / picture.shape[0]])
