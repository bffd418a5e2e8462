"""What a detector of faces gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Face:
    """A face in a picture, in pixels of it, x to the right, y down.

    Args:
        box: (4,) float64 left, top, right, bottom; it may leave the picture.
        confidence: from 0 to 1.
        landmarks: (5, 2) float64 x and y of the eyes (first the left one in the picture), the tip of the nose, and the
            corners of the mouth (first the left one in the picture); None: the detector does not give them.
    """

    box: np.ndarray
    confidence: float
    landmarks: np.ndarray | None = None


class Detector(Protocol):
    """Finds faces.

    Their boxes hold the face from the hair to the chin, as the boxes of the benchmark WIDER FACE do.
    """

    name: str
    description: str
    """One line for the log: what it is, and where it is from."""

    def detect(self, image: np.ndarray) -> list[Face]:
        """Faces of a picture (height, width, 3) uint8 RGB, the most certain first. Callable from several threads."""
        ...
