"""Photos that faces are cut out of, decoded at their full size or, where all faces in it stay large, at a part of it.

libjpeg decodes a JPEG at a half, a quarter or an eighth of its size by a smaller transform of each 8 x 8 block, in a
third of the time. The largest reduction is taken that leaves every face of the photo at least `LEAST` times as large as
it is stored; where a face does not allow any, the photo is decoded whole and nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from abaw_ray.preprocess.crops import BadGeometry, Crop, Place, cut_out, fit, stretch
from abaw_ray.preprocess.decoding import JpegHeader, decoded, jpeg_header, read_content

LEAST = 1.1
"""Least side of a face in a reduced photo, in stored sides: the stored face then differs by about 1 of 255 on average
(on web photos 0.7 at 112 pixels and 1.3 at 48; of one face in twenty by more than 1.0 and 2.7)."""


@dataclass(frozen=True)
class Photo:
    """A picture that faces are cut out of.

    Args:
        image: (height, width, 3) uint8 RGB, or reduced: both divided by `reduction` and rounded up.
        shape: height and width in full.
        reduction: 1, 2, 4 or 8.
    """

    image: np.ndarray
    shape: tuple[int, int]
    reduction: int = 1

    def face(self, place: Place, size: int) -> np.ndarray:
        """A face (size, size, 3): the largest square in the middle of its place, or all of it if that is stretched."""
        if place.stretched:
            return stretch(cut_out(self.image, place), size)
        if self.reduction == 1:
            return fit(cut_out(self.image, place), size)
        return _reduced_face(self, place, size)


def whole_photo(image: np.ndarray) -> Photo:
    """A picture at its full size."""
    height, width = image.shape[:2]
    return Photo(image, (height, width))


def read_reduced(path: Path, crop: Crop, geometries: Iterable[np.ndarray], size: int, keep_damaged: bool) -> Photo:
    """A photo at the least size that its faces need; of other formats than JPEG, at its full size.

    Args:
        path: of the photo.
        crop: of its faces.
        geometries: of all of them.
        size: side in pixels of a stored face.
        keep_damaged: as of `read_image`, whose errors it raises.
    """
    content, is_turned = read_content(path), crop.num_values == 0
    header = jpeg_header(content)
    reduction = _reduction(header, crop, geometries, size) if header else 1
    image = decoded(content, is_turned, keep_damaged, reduction)
    if header is None or reduction == 1:
        return whole_photo(image)
    shape = header.height, header.width
    if image.shape[:2] != _reduced_shape(shape, reduction):  # turned by a quarter
        shape = header.width, header.height
    assert image.shape[:2] == _reduced_shape(shape, reduction), "libjpeg rounds up"
    return Photo(image, shape, reduction)


def _reduction(header: JpegHeader, crop: Crop, geometries: Iterable[np.ndarray], size: int) -> int:
    """The largest that leaves all faces large enough. Those that cannot be cut out do not count; of pictures that are
    stretched it is 1."""
    if crop.stretches:
        return 1
    shape, sides = (header.height, header.width), []
    for geometry in geometries:
        try:
            place = crop.place(shape, geometry)
        except BadGeometry:
            continue
        sides.append(min(place.height, place.width))
    # a picture may begin at its last pixel once it is turned, which then has to be a whole one
    may_turn = crop.num_values == 0 and header.has_exif
    for reduction in (8, 4, 2):
        is_whole = not (header.height % reduction or header.width % reduction)
        if sides and min(sides) >= LEAST * size * reduction and (is_whole or not may_turn):
            return reduction
    return 1


def _reduced_shape(shape: tuple[int, int], reduction: int) -> tuple[int, int]:
    height, width = shape
    return math.ceil(height / reduction), math.ceil(width / reduction)


def _reduced_face(photo: Photo, place: Place, size: int) -> np.ndarray:
    """A face of a reduced photo: sampled between its pixels at a multiple of `size`, then averaged.

    By cubic interpolation: linear would smooth once more, and be twice as far from the face of the whole photo.
    """
    side = min(place.height, place.width)
    times = math.ceil(side / photo.reduction / size)
    turn = np.eye(2) if place.rotation is None else place.rotation.T
    centre = place.centre
    if place.rotation is None:  # as of `fit`, whose middle is one of whole pixels
        centre = np.floor(centre - side / 2) + side / 2
    step = side / (times * size)
    first = centre + turn @ np.full(2, (step - side) / 2)
    # to pixel centres of the reduced photo, from coordinates of pixel edges of the whole one
    to_photo = np.column_stack([turn * step, first]) / photo.reduction
    to_photo[:, 2] -= 0.5
    samples = cv2.warpAffine(
        photo.image,
        to_photo,
        (times * size, times * size),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    parts = _parts_inside(times * size, first, turn * step, photo.shape)
    if parts is not None:
        samples = np.rint(samples * parts[..., None]).astype(np.uint8)
    return cv2.resize(samples, (size, size), interpolation=cv2.INTER_AREA)


def _parts_inside(num: int, first: np.ndarray, steps: np.ndarray, shape: tuple[int, int]) -> np.ndarray | None:
    """How much of each sample (num, num), of 0 to 1, lies in a photo; None: all of all.

    Args:
        num: samples in a row.
        first: (2,) x and y of the first one's middle.
        steps: (2, 2) from one to the next: to the right and down, in columns.
        shape: height and width of the photo.
    """
    step, end = math.hypot(*steps[:, 0]), np.array(shape)[::-1, None]
    corners = first[:, None] + steps @ (np.array([[0, 1, 0, 1], [0, 0, 1, 1]]) * (num - 1))
    if ((corners >= step / 2) & (corners <= end - step / 2)).all():
        return None
    numbers = np.arange(num)
    x, y = first[:, None, None] + steps[:, :1, None] * numbers + steps[:, 1:, None] * numbers[:, None]
    height, width = shape
    return np.prod([np.clip(gap / step + 0.5, 0, 1) for gap in (x, width - x, y, height - y)], axis=0)
