"""Faces cut out of photos. Images are (height, width, 3) uint8 RGB; coordinates are pixels, x to the right, y down."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

LARGEST_CROP = 8
"""Most times the photo's longer side that a crop's side may have; beyond, the geometry is wrong."""


class BadGeometry(ValueError):
    """A geometry that gives no face."""


@dataclass(frozen=True)
class Place:
    """Where a face is in a photo.

    Args:
        centre: (2,) x and y of its middle, in pixels from the photo's edges.
        width: in pixels of the photo.
        height: in pixels of the photo.
        rotation: (2, 2) from directions in the photo to those in the face; None: it is upright, and `centre` the middle
            of whole pixels.
        stretched: whether all of it is resized to a square, whatever its sides, or the square in its middle.
    """

    centre: np.ndarray
    width: int
    height: int
    rotation: np.ndarray | None = None
    stretched: bool = False

    @property
    def corner(self) -> tuple[int, int]:
        """Left and top of an upright one."""
        x, y = self.centre
        return round(x - self.width / 2), round(y - self.height / 2)


@dataclass(frozen=True)
class Crop:
    """How to cut out a face.

    Args:
        find: (height, width) of a photo and geometry -> place of the face. Raises BadGeometry.
        num_values: of the geometry: 0, 4 (left, top, right, bottom) or 136 (68 landmarks x0, y0, x1, y1, ...).
        stretches: whether what is cut out is resized as a whole, see `Place`.
    """

    find: Callable[[tuple[int, int], np.ndarray], Place]
    num_values: int
    stretches: bool = False

    def place(self, shape: tuple[int, int], geometry: np.ndarray) -> Place:
        """Checks the geometry's numbers and finds the face in a photo of `shape` (height, width)."""
        if len(geometry) != self.num_values:
            raise BadGeometry(f"{len(geometry)} numbers, expected {self.num_values}")
        if not np.isfinite(geometry).all():
            raise BadGeometry("a number that is not finite")
        found = self.find(shape, geometry.astype(np.float64))
        return replace(found, stretched=True) if self.stretches else found

    def __call__(self, image: np.ndarray, geometry: np.ndarray) -> np.ndarray:
        """The face of any size. Raises BadGeometry."""
        height, width = image.shape[:2]
        return cut_out(image, self.place((height, width), geometry))


def cut_out(image: np.ndarray, place: Place) -> np.ndarray:
    """A face (height, width, 3) of a photo at the photo's resolution, black where it leaves the photo."""
    if place.rotation is not None:
        return turned_square(image, place.centre, place.rotation, place.width)
    left, top = place.corner
    right, bottom = left + place.width, top + place.height
    inside = image[max(top, 0) : bottom, max(left, 0) : right]
    if inside.shape[:2] == (place.height, place.width):
        return inside
    face = np.zeros((place.height, place.width, 3), np.uint8)
    y, x = max(-top, 0), max(-left, 0)
    face[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return face


def whole(shape: tuple[int, int], geometry: np.ndarray) -> Place:
    """The image itself."""
    height, width = shape
    return Place(np.array([width / 2, height / 2]), width, height)


def box(shape: tuple[int, int], geometry: np.ndarray) -> Place:
    """The box (left, top, right, bottom), without margin, black where it leaves the photo (as PIL crops)."""
    left, top, right, bottom = (int(v) for v in np.rint(geometry))
    if right <= left or bottom <= top:
        raise BadGeometry(f"empty box {left}, {top}, {right}, {bottom}")
    height, width = shape
    _check_size(shape, max(right - left, bottom - top))
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise BadGeometry(f"box {left}, {top}, {right}, {bottom} outside the photo of {width} x {height}")
    return Place(np.array([(left + right) / 2, (top + bottom) / 2]), right - left, bottom - top)


def eye_aligned(shape: tuple[int, int], geometry: np.ndarray) -> Place:
    """A square around eyes and mouth with the eyes level, from 68 landmarks.

    The crop of AFEW-VA in Vu et al. (2021): after a rotation that levels the eyes, its centre is between the eyes'
    and the mouth's centre, and half its side the larger of the eyes' distance and the eyes' height above the mouth.
    Rotation and cut are one bilinear resampling here; the reference rotates first, by nearest neighbour.
    """
    points = geometry.reshape(-1, 2)
    left_eye, right_eye = points[[36, 39]].mean(0), points[[42, 45]].mean(0)
    eyes, mouth = (left_eye + right_eye) / 2, points[[48, 54]].mean(0)
    dx, dy = right_eye - left_eye
    if dx == 0 and dy == 0:
        raise BadGeometry("both eyes in one place")
    angle = math.atan(dy / dx) if dx != 0 else math.copysign(math.pi / 2, dy)
    cos, sin = math.cos(angle), math.sin(angle)
    rotation = np.array([[cos, sin], [-sin, cos]])  # y points down
    half = max((rotation @ (right_eye - left_eye))[0], (rotation @ (mouth - eyes))[1])
    side = round(2 * half)
    if side < 1:
        raise BadGeometry("eyes and mouth without extent")
    _check_inside(shape, np.stack([left_eye, right_eye, mouth]))
    _check_size(shape, side)
    return Place((eyes + mouth) / 2, side, side, rotation)


def turned_square(image: np.ndarray, centre: np.ndarray, rotation: np.ndarray, side: int) -> np.ndarray:
    """A square (side, side, 3) around a place, black where it leaves the photo.

    Args:
        image: the photo.
        centre: (2,) x and y in the photo.
        rotation: (2, 2) from directions in the photo to those in the square.
        side: in pixels.
    """
    height, width = image.shape[:2]
    _check_size((height, width), side)
    # coordinates are those of pixel edges (as PIL's), warpAffine's those of pixel centres
    shift = (side - 1) / 2 - rotation @ (centre - 0.5)
    return cv2.warpAffine(image, np.column_stack([rotation, shift]), (side, side), flags=cv2.INTER_LINEAR)


def landmark_square(shape: tuple[int, int], geometry: np.ndarray) -> Place:
    """A square inside the photo around the landmarks' box, more forehead than chin, from 68 landmarks.

    The crop of AffectNet in the code of Vu et al. (2021), which places the top at 0.65 of the box's own.
    """
    height, width = shape
    points = geometry.reshape(-1, 2)
    _check_inside(shape, points)
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    box_width, box_height = x1 - x0, y1 - y0
    gap = 0.05 * min(box_width, box_height)
    side = min(int(max(box_width, box_height) + 2 * gap), width, height)
    if side < 1:
        raise BadGeometry("landmarks without extent")
    left = _inside(int(x0 - (side - box_width) / 2), side, x1, width)
    top = _inside(int((y0 - gap) * 0.65), side, y1, height)
    return Place(np.array([left + side / 2, top + side / 2]), side, side)


def fit(face: np.ndarray, size: int) -> np.ndarray:
    """The largest square in the middle of a face, resized to (size, size, 3); as it is if it has that size."""
    height, width = face.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return stretch(face[top : top + side, left : left + side], size)


def stretch(image: np.ndarray, size: int) -> np.ndarray:
    """An image resized to (size, size, 3), whatever its sides; as it is if it has that size."""
    height, width = image.shape[:2]
    if height == width == size:
        return image
    is_smaller = max(height, width) > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC)


CROPS = {
    "whole": Crop(whole, 0),
    "box": Crop(box, 4),
    "eye_aligned": Crop(eye_aligned, 136),
    "landmark_square": Crop(landmark_square, 136),
}
"""Crops of faces."""

IMAGE_CROPS = CROPS | {"stretched": Crop(whole, 0, stretches=True), "stretched_box": Crop(box, 4, stretches=True)}
"""Crops of all streams of images: of bodies and scenes nothing is to be cut off, and they need not keep their sides."""


def _inside(start: int, side: int, end: float, limit: int) -> int:
    """Start of a square of `side` that reaches `end` if it can and stays within 0 and `limit`."""
    start = max(start, 0)
    if start + side < end:
        start = int(end - side)
    return min(start, limit - side)


def _check_size(shape: tuple[int, int], side: int) -> None:
    height, width = shape
    if side > LARGEST_CROP * max(shape):
        raise BadGeometry(f"a face of {side} pixels in a photo of {width} x {height}")


def _check_inside(shape: tuple[int, int], points: np.ndarray) -> None:
    height, width = shape
    if not ((points >= 0) & (points < (width, height))).all(axis=1).any():
        raise BadGeometry(f"no landmark inside the photo of {width} x {height}")
