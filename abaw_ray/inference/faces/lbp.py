"""Faces by a cascade of local binary patterns: what works wherever scikit-image does."""

from __future__ import annotations

import cv2
import numpy as np

from abaw_ray.inference.faces.base import Face
from abaw_ray.inference.faces.boxes import centres, overlaps, sides
from abaw_ray.inference.faces.shrinking import shrunk

LONGEST_SIDE = 240
SMALLEST_FACE = 0.1
"""Of the picture's shorter side."""
SCALE_FACTOR = 1.15
WINDOW = 24
"""Side of the smallest window, in pixels."""
LEAST_WINDOWS = 6
"""Windows that must agree on a face."""
SAME_FACE = 0.4
"""Overlap (IoU) from which windows are of one face."""
WIDTH, HEIGHT = 0.82, 1.11
"""Of a face's box, in the window's side (medians of 164 faces of ExpW that YuNet finds, too); their centres agree."""


class LbpCascade:
    """Upright faces that look into the camera, without landmarks (Liao et al., "Learning multi-scale block local
    binary patterns for face recognition", 2007), with the trained cascade that comes with scikit-image."""

    name = "lbp"
    description = "the cascade of scikit-image, for upright faces that look into the camera, without landmarks"

    def __init__(self) -> None:
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade

        self._cascade = Cascade(lbp_frontal_face_cascade_filename())

    def detect(self, image: np.ndarray) -> list[Face]:
        """See `Detector.detect`. The confidence grows with the number of windows that agree on a face."""
        picture, zoom = shrunk(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), LONGEST_SIDE)
        found = [
            Face(_face_box(windows.mean(0)) * np.tile(zoom, 2), 1 - 2 ** (-len(windows) / 2))
            for windows in _groups(self._windows(picture))
            if len(windows) >= LEAST_WINDOWS
        ]
        return sorted(found, key=lambda face: -face.confidence)

    def _windows(self, picture: np.ndarray) -> np.ndarray:
        """(n, 4) float64 windows that look like a face: left, top, right, bottom."""
        longest = min(picture.shape)
        least = max(WINDOW, int(SMALLEST_FACE * longest))
        if longest < least:
            return np.zeros((0, 4))
        # two windows never overlap by more than all of the smaller: each is given as it is found
        found = self._cascade.detect_multi_scale(
            picture, SCALE_FACTOR, 1, (least, least), (longest, longest), 1, intersection_score_threshold=2
        )
        rows = [(f["c"], f["r"], f["c"] + f["width"], f["r"] + f["height"]) for f in found]
        return np.array(rows, np.float64).reshape(-1, 4)


def _groups(windows: np.ndarray) -> list[np.ndarray]:
    """Windows of one face each: the one that most overlap with those, then the next of the rest."""
    groups = []
    while len(windows):
        same = overlaps(windows, windows) >= SAME_FACE
        group = same[same.sum(1).argmax()]
        groups.append(windows[group])
        windows = windows[~group]
    return groups


def _face_box(window: np.ndarray) -> np.ndarray:
    centre, half = centres(window), sides(window) * (WIDTH, HEIGHT) / 2
    return np.concatenate([centre - half, centre + half])
