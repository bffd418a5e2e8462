"""Drawn people in scenes: stripes show what a person feels, colours of the background what the scene adds.

A stripe is 2 pixels wide, and both of its colours have the same mean whatever it shows: in a scene that is resized by a
multiple of 4, as pictures of `SIZES` to 32 pixels, nothing is left of it. A body's box lies within what is painted of
the person: nothing of the background is in it. So each stream shows what the other cannot.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

NUM_TYPES = 13
"""Kinds of people, and of scenes."""
SIZES = ((384, 256), (256, 384), (256, 256))
"""Width and height of pictures."""
WIDTH, HEIGHT, EDGE = 68, 84, 2
"""Of a person in pixels, and how far inside the box lies."""
LARGEST_GROUP = 3
_SLOT = 82
_GREY, _SKIN, _CONTRAST = 128.0, (150.0, 180.0, 220.0), 80.0
_AXES = np.array([[1, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1]], np.float64)
"""Colours (blue, green, red) that stripes have more and less of than grey."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""


def draw_scene(
    rng: np.random.Generator, size: tuple[int, int], scene: int, people: Sequence[int]
) -> tuple[np.ndarray, list[Box]]:
    """A picture (height, width, 3) uint8 BGR of people beside each other, and the boxes of their bodies.

    Args:
        rng: of what shows nothing: places, shades, phases of stripes.
        size: width and height of the picture.
        scene: kind of the background, below `NUM_TYPES`.
        people: kind of each person, from left to right; at most `LARGEST_GROUP`.
    """
    width, height = size
    picture = _background(rng, width, height, scene)
    slots = np.sort(rng.permutation(min(LARGEST_GROUP, width // _SLOT))[: len(people)])
    boxes = []
    for slot, kind in zip(slots.tolist(), people, strict=True):
        left = slot * _SLOT + int(rng.integers(0, _SLOT - WIDTH))
        top = int(rng.integers(0, height - HEIGHT))
        picture[top : top + HEIGHT, left : left + WIDTH] = _person(rng, kind)
        boxes.append((left + EDGE, top + EDGE, left + WIDTH - EDGE, top + HEIGHT - EDGE))
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
    cv2.rectangle(figure, (0, 0), (WIDTH, HEIGHT // 3), (_GREY,) * 3, cv2.FILLED)
    cv2.circle(figure, middle, radius, _SKIN, cv2.FILLED)
    return figure
