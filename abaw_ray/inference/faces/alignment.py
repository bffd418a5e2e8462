"""Detected faces cut out with the geometry that a network's training had.

Where training had what a detector does not give, its mean relation to a detector's box stands for it. The relations
below are of YuNet's boxes on web photos (ExpW's): medians over the faces of at least 40 pixels whose confidence is at
least 0.8. Places are from the box's centre in units of its width and height, sides in units of the square root of its
area, which varies less from face to face than its width or its height.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from abaw_ray.inference.faces.base import Face
from abaw_ray.inference.faces.boxes import centres, sides
from abaw_ray.preprocess.crops import CROPS, BadGeometry, fit, turned_square

EYE_ALIGNED_SIDE, EYE_ALIGNED_DOWN = 0.84, 0.06
"""Of the crop `eye_aligned`: side and centre (436 faces with five landmarks; a side differs by 7 % from that)."""
WHOLE_SIDE, WHOLE_DOWN = 1.20, -0.08
"""Of the square of TEMPLATE (the same 436 faces; a side differs by 6 % from that)."""
LANDMARKS_LEFT_RIGHT, LANDMARKS_TOP, LANDMARKS_BOTTOM = 0.50, -0.26, 0.48
"""Of the box of 68 landmarks (254 faces on which a mesh of landmarks was fitted; an edge differs by 4 to 6 %)."""
BOX_UP = 0.2
"""Of databases' square boxes (246 of ExpW): as high as a detector's box, and higher up by this part of what the
detector's is higher than wide. They overlap with ExpW's by 0.80 (IoU, median), squares as wide as the detector's by
0.53."""

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Eyes, nose and corners of the mouth in aligned faces of TEMPLATE_SIDE pixels, the usual places of face recognition
(Deng et al., ArcFace, CVPR 2019). In faces that came unaligned (269 of FER2013's that YuNet finds) the means of both
differ by 4 % in scale, and in place by 7 % of the side, by which FER2013's stand higher."""
TEMPLATE_SIDE = 112

NUM_LANDMARKS = 68
LEFT_EYE, RIGHT_EYE, MOUTH_LEFT, MOUTH_RIGHT = slice(36, 42), slice(42, 48), 48, 54  # of the 68


def cut_face(image: np.ndarray, face: Face, crop: str, size: int) -> np.ndarray:
    """A face as faces of training were cut out and stored.

    Args:
        image: (height, width, 3) uint8 RGB.
        face: found in it. One without landmarks whose box is the whole image was cut out before, whatever the crop.
        crop: name of the training's crop (`preprocess.crops.CROPS`). Of `eye_aligned` it is the same square; of
            `landmark_square` one around a box of landmarks that the detector's box tells of; of `box` a square as high
            as the detector's box; of `whole` (faces that came cut out) the usual alignment of five landmarks.
            Without landmarks, squares are upright, at the mean place.
        size: side in pixels of the result.

    Returns:
        (size, size, 3) uint8 RGB, black where it leaves the image.

    Raises:
        BadGeometry: a box without extent, not finite, outside the image, or many times as large.
    """
    box = np.asarray(face.box, np.float64)
    if not np.isfinite(box).all():
        raise BadGeometry("a number that is not finite")
    height, width = image.shape[:2]
    left, top, right, bottom = box
    numbers = ", ".join(f"{number:.1f}" for number in box)
    if right <= left or bottom <= top:
        raise BadGeometry(f"empty box {numbers}")
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise BadGeometry(
            f"box {left:.1f}, {top:.1f}, {right:.1f}, {bottom:.1f} outside the photo of {width} x {height}"
        )
    if face.landmarks is None and np.array_equal(box, (0, 0, width, height)):
        return fit(image, size)
    return fit(_CUTS[crop](image, box, _landmarks(image, face)), size)


def _landmarks(image: np.ndarray, face: Face) -> np.ndarray | None:
    """Five landmarks that can be used: some in the image, both eyes in different places. First the face's own right
    eye, which in a face that is upside down is the right one in the picture."""
    if face.landmarks is None or not np.isfinite(face.landmarks).all():
        return None
    points = np.asarray(face.landmarks, np.float64)
    across, down = points[1] - points[0], (points[3] + points[4] - points[0] - points[1]) / 2
    if across[0] * down[1] - across[1] * down[0] < 0:
        points = points[[1, 0, 2, 4, 3]]
    centres = np.stack([points[0], points[1], points[3:].mean(0)])
    inside = ((centres > 0) & (centres < (image.shape[1], image.shape[0]))).all(1)
    return points if inside.any() and np.ptp(points[:2], axis=0).max() >= 1 else None


def _whole(image: np.ndarray, box: np.ndarray, landmarks: np.ndarray | None) -> np.ndarray:
    if landmarks is None:
        return _upright(image, box, WHOLE_SIDE, WHOLE_DOWN)
    # the similarity of least squares, in complex numbers: template = turn * landmark + shift
    points, places = landmarks @ (1, 1j), TEMPLATE @ (1, 1j)
    centred, centred_places = points - points.mean(), places - places.mean()
    turn = np.vdot(centred, centred_places) / np.vdot(centred, centred).real
    zoom = abs(turn)
    if not zoom > 0:
        raise BadGeometry("landmarks without extent")
    middle = (TEMPLATE_SIDE * (0.5 + 0.5j) - places.mean()) / turn + points.mean()
    cos, sin = turn.real / zoom, turn.imag / zoom
    side = max(round(TEMPLATE_SIDE / zoom), 1)
    return turned_square(image, np.array([middle.real, middle.imag]), np.array([[cos, -sin], [sin, cos]]), side)


def _box(image: np.ndarray, box: np.ndarray, landmarks: np.ndarray | None) -> np.ndarray:
    (x, y), (width, height) = centres(box), sides(box)
    half = max(width, height, 1) / 2
    y -= BOX_UP * max(height - width, 0)
    # of a face of which a sliver is inside, a pixel stays there
    x, y = (min(max(v, 1 - half), limit - 1 + half) for v, limit in ((x, image.shape[1]), (y, image.shape[0])))
    return CROPS["box"](image, np.array([x - half, y - half, x + half, y + half]))


def _eye_aligned(image: np.ndarray, box: np.ndarray, landmarks: np.ndarray | None) -> np.ndarray:
    if landmarks is None:
        return _upright(image, box, EYE_ALIGNED_SIDE, EYE_ALIGNED_DOWN)
    if landmarks[1, 0] < landmarks[0, 0]:  # training's crop turns by a quarter at most
        image = cv2.rotate(image, cv2.ROTATE_180)
        landmarks = (image.shape[1], image.shape[0]) - landmarks
    points = np.tile(landmarks[2], (NUM_LANDMARKS, 1))
    points[LEFT_EYE], points[RIGHT_EYE], points[MOUTH_LEFT], points[MOUTH_RIGHT] = landmarks[[0, 1, 3, 4]]
    return CROPS["eye_aligned"](image, points.reshape(-1))


def _landmark_square(image: np.ndarray, box: np.ndarray, landmarks: np.ndarray | None) -> np.ndarray:
    centre = centres(box)
    start = centre + sides(box) * (-LANDMARKS_LEFT_RIGHT, LANDMARKS_TOP)
    end = centre + sides(box) * (LANDMARKS_LEFT_RIGHT, LANDMARKS_BOTTOM)
    size = np.array([image.shape[1], image.shape[0]])
    # training had faces with a landmark inside the photo; of one that shows its forehead alone that is its edge
    start = np.minimum(start, size - 1)
    end = np.maximum(end, np.maximum(start + 1, 1))
    # of a face larger than the photo no corner is inside, but what is between them
    points = np.tile(np.clip(np.clip(centre, 0, size - 1), start, end), (NUM_LANDMARKS, 1))
    points[0], points[1] = start, end
    return CROPS["landmark_square"](image, points.reshape(-1))


def _upright(image: np.ndarray, box: np.ndarray, side: float, down: float) -> np.ndarray:
    """A square, its side in units of the square root of the box's area, its centre `down` of the box's height lower."""
    (x, y), (width, height) = centres(box), sides(box)
    pixels = max(round(side * math.sqrt(width * height)), 1)
    return turned_square(image, np.array([x, y + down * height]), np.eye(2), pixels)


_CUTS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]] = {
    "whole": _whole,
    "box": _box,
    "eye_aligned": _eye_aligned,
    "landmark_square": _landmark_square,
}
