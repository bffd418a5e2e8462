"""Faces by YuNet, of a file in the format of OpenCV's model zoo."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from abaw_ray.errors import MissingInputError
from abaw_ray.inference.faces.base import Face
from abaw_ray.inference.faces.shrinking import shrunk
from abaw_ray.inference.faces.yunet_networks import read_network

LONGEST_SIDE = 640
"""Of the pictures in which faces are looked for. Of 252 labelled faces of web photos 230 are found with 320 pixels, 233
with 480 or 640, and 238 with 960, at a cost that grows with the square."""
LEAST_SCORE = 0.6
"""Of the 70 faces of those photos just above it, at most five are none, looked at one by one."""
LARGEST_OVERLAP = 0.3
"""Of boxes of two faces (IoU)."""


class YuNet:
    """The detector of Wu et al., "YuNet: a tiny millisecond-level face detector" (2023), with five landmarks.

    Args:
        file: an ONNX file.
        origin: of the file, for the log.
        longest_side: pixels to which larger pictures are made smaller before faces are looked for.
        least_score: of a face, from 0 to 1.

    Raises:
        MissingInputError: there is no such file.
        ConfigurationError: it is no YuNet, or damaged.
    """

    name = "yunet"

    def __init__(
        self, file: Path, origin: str = "", longest_side: int = LONGEST_SIDE, least_score: float = LEAST_SCORE
    ) -> None:
        if not file.is_file():
            raise MissingInputError(f"no file {file}; expected a YuNet network (.onnx)")
        self._network = read_network(file)
        self._longest_side, self._least_score = longest_side, least_score
        self.description = f"YuNet of {file}{f' ({origin})' if origin else ''}, run by {self._network.runs_by}"

    def detect(self, image: np.ndarray) -> list[Face]:
        """See `Detector.detect`. The eye that comes first is the face's own right one."""
        picture, zoom = shrunk(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), self._longest_side)
        found = self._network.find(picture, self._least_score)
        return [_face(numbers, zoom) for numbers in _distinct(found)]


def _distinct(found: np.ndarray) -> np.ndarray:
    """One of those that overlap, the most certain first."""
    kept = cv2.dnn.NMSBoxes(found[:, :4].tolist(), found[:, 14].tolist(), 0, LARGEST_OVERLAP)
    return found[np.array(kept, int)]


def _face(numbers: np.ndarray, zoom: np.ndarray) -> Face:
    start, sides, landmarks = numbers[:2] * zoom, numbers[2:4] * zoom, numbers[4:14].reshape(5, 2) * zoom
    return Face(np.concatenate([start, start + sides]), float(numbers[14]), landmarks)
