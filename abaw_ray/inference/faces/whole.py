"""Pictures that are faces already."""

from __future__ import annotations

import numpy as np

from abaw_ray.inference.faces.base import Face


class WholePicture:
    """Says of every picture that all of it is a face."""

    name = "whole"
    description = "whole pictures, taken as faces that are cut out already"

    def detect(self, image: np.ndarray) -> list[Face]:
        """See `Detector.detect`."""
        height, width = image.shape[:2]
        return [Face(np.array([0, 0, width, height], np.float64), 1.0)]
