"""Drawn people in scenes: stripes show what a person feels, colours of the background what the scene adds.

A stripe is 2 pixels wide, and both of its colours have the same mean whatever it shows: in a scene that is resized by a
multiple of 4, as pictures of `SIZES` to 32 pixels, nothing is left of it. A body's box lies within what is painted of
the person: nothing of the background is in it. So each stream shows what the other cannot. A person may have a drawn
face above the coat.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from abaw_ray.synthetic.behaviour import head_motion, posed
from abaw_ray.synthetic.faces import Actions, Pose, random_identity
from abaw_ray.synthetic.scenes import ZOOM, Camera, Face, box_of, take_picture

NUM_TYPES = 13
"""Kinds of people, and of scenes."""
SIZES = ((384, 256), (256, 384), (256, 256))
"""Width and height of pictures."""
WIDTH, HEIGHT, EDGE = 68, 84, 2
"""Of a person in pixels, and how far inside the box lies."""
LARGEST_GROUP = 3
FACE_HEIGHT = 72
"""Of the part above the coat where a face is drawn, as wide as the person."""
_SLOT, _HEAD = 82, HEIGHT // 3
_GREY, _SKIN, _CONTRAST = 128.0, (150.0, 180.0, 220.0), 80.0
_AXES = np.array([[1, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1]], np.float64)
"""Colours (blue, green, red) that stripes have more and less of than grey."""
_CAMERA = Camera(light=(0.0, 0.0), gain=(1.0, 1.0, 1.0), blur=0.0, noise=3.0, jpeg_quality=95)
_WALL = np.full((ZOOM * FACE_HEIGHT, ZOOM * WIDTH, 3), _GREY, np.uint8)

Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""


def draw_face(rng: np.random.Generator, expression: int) -> tuple[np.ndarray, Box]:
    """Somebody's face (FACE_HEIGHT, WIDTH, 3) uint8 BGR that shows an expression clearly, and its box.

    Args:
        rng: of who it is, and of what shows nothing.
        expression: place in `synthetic.labels.EXPRESSIONS`.
    """
    pose = Pose(*head_motion(rng, 1, (0.06, 0.04, 0.04))[0].tolist())
    centre = (float(WIDTH * rng.uniform(0.48, 0.52)), float(FACE_HEIGHT * rng.uniform(0.44, 0.48)))
    face = Face(random_identity(rng), Actions(*posed(rng, expression).tolist()), pose, centre, rng.uniform(23, 25))
    picture, (shape,) = take_picture(rng, _WALL, [face], _CAMERA)
    left, top, right, bottom = np.clip(np.rint(box_of(shape)), 0, [WIDTH, FACE_HEIGHT] * 2).astype(int).tolist()
    return picture, (left, top, right, bottom)


def draw_scene(
    rng: np.random.Generator,
    size: tuple[int, int],
    scene: int,
    people: Sequence[int],
    faces: Sequence[np.ndarray] = (),
) -> tuple[np.ndarray, list[Box]]:
    """A picture (height, width, 3) uint8 BGR of people beside each other, and the boxes of their bodies.

    Args:
        rng: of what shows nothing: places, shades, phases of stripes.
        size: width and height of the picture.
        scene: kind of the background, below `NUM_TYPES`.
        people: kind of each person, from left to right; at most `LARGEST_GROUP`.
        faces: of each person, as of `draw_face`, for the place above the coat; none: heads are blank.
    """
    width, height = size
    picture = _background(rng, width, height, scene)
    slots = np.sort(rng.permutation(min(LARGEST_GROUP, width // _SLOT))[: len(people)])
    boxes = []
    tall = HEIGHT - _HEAD + FACE_HEIGHT if faces else HEIGHT
    for place, (slot, kind) in enumerate(zip(slots.tolist(), people, strict=True)):
        left = slot * _SLOT + int(rng.integers(0, _SLOT - WIDTH))
        top = int(rng.integers(0, height - tall))
        figure = _person(rng, kind)
        if faces:
            figure = np.concatenate([faces[place], figure[_HEAD:]])
        picture[top : top + tall, left : left + WIDTH] = figure
        boxes.append((left + EDGE, top + EDGE, left + WIDTH - EDGE, top + tall - EDGE))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), boxes


def _background(rng: np.random.Generator, width: int, height: int, scene: int) -> np.ndarray:
    """Blobs of a colour, lighter and darker."""
    red, green, blue = colorsys.hsv_to_rgb(scene / NUM_TYPES, 0.8, 1.0)
    coarse = rng.uniform(90, 230, (height // 32, width // 32))
    shades = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return shades[..., None] * np.array([blue, green, red])


def _person(rng: np.random.Generator, kind: int) -> np.ndarray:
    """A figure with a striped coat: the stripes' direction and colours tell its kind."""
    axis, direction = divmod(kind, 4)
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    along = (x, y, x + y, x - y)[direction] + int(rng.integers(0, 4))
    signs = np.where(along % 4 < 2, 1.0, -1.0)
    figure = _GREY + _CONTRAST * signs[..., None] * _AXES[axis]
    middle, radius = (WIDTH // 2, HEIGHT // 6), HEIGHT // 8
    cv2.rectangle(figure, (0, 0), (WIDTH, _HEAD), (_GREY,) * 3, cv2.FILLED)
    cv2.circle(figure, middle, radius, _SKIN, cv2.FILLED)
    return figure
