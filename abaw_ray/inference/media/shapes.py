"""Shapes on pictures, antialiased, at fractions of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from abaw_ray.inference.media.text import INK
from abaw_ray.palette import colour

RGB = tuple[int, int, int]

WHITE, DIM = (255, 255, 255), (176, 180, 188)
SUBPIXEL_BITS = 4
PANEL_OPACITY = 0.66


@dataclass(frozen=True)
class Rect:
    """A rectangle of pixels, `right` and `bottom` outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def overlap(self, other: Rect) -> int:
        """Pixels that both have."""
        width = min(self.right, other.right) - max(self.left, other.left)
        return max(width, 0) * max(min(self.bottom, other.bottom) - max(self.top, other.top), 0)

    def inside(self, other: Rect) -> Rect:
        """This one moved as little as puts it inside `other`, as far as it fits."""
        left = max(min(self.left, other.right - self.width), other.left)
        top = max(min(self.top, other.bottom - self.height), other.top)
        return Rect(left, top, left + self.width, top + self.height)


@dataclass(frozen=True)
class Sizes:
    """How large things are on a picture of some size, in pixels."""

    width: int
    height: int
    text: int
    """An em."""

    @classmethod
    def of(cls, image: np.ndarray) -> Sizes:
        """Those that suit a picture (H, W, 3): text grows with it, and stays readable on small ones."""
        height, width = image.shape[:2]
        return cls(width, height, max(11, round(0.0175 * (height * width) ** 0.5)))

    @property
    def gap(self) -> int:
        return max(3, round(self.text * 0.4))

    @property
    def line(self) -> int:
        return max(1, round(self.text / 9))

    @property
    def picture(self) -> Rect:
        return Rect(0, 0, self.width, self.height)


def rgb(place: int) -> RGB:
    """The palette's colour at a place."""
    text = colour(place)
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def person_rgb(person: int) -> RGB:
    """A person's colour, lighter than the palette's, as it stands on dark ground."""
    return mixed(rgb(person), WHITE, 0.35)


def mixed(one: RGB, other: RGB, share: float) -> RGB:
    """A colour between two: `one` where the share is 0."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def panel(image: np.ndarray, rect: Rect) -> None:
    """Darkens the ground of text and curves."""
    fill(image, rect, INK, PANEL_OPACITY)


def fill(image: np.ndarray, rect: Rect, colour: RGB, opacity: float = 1.0) -> None:
    """Fills a rectangle, as far as it is in the picture."""
    import cv2

    part = image[max(rect.top, 0) : max(rect.bottom, 0), max(rect.left, 0) : max(rect.right, 0)]
    if part.size and opacity == 1:
        part[...] = colour
    elif part.size:
        part[...] = cv2.LUT(part, _veil(colour, opacity))


@lru_cache(256)
def _veil(colour: RGB, opacity: float) -> np.ndarray:
    """What each value of red, green and blue becomes under a colour: (1, 256, 3) uint8."""
    values = np.arange(256)[None, :, None] * (1 - opacity) + np.array(colour) * opacity
    return np.round(values).astype(np.uint8)


def polyline(image: np.ndarray, points: np.ndarray, colour: RGB, thickness: int = 1) -> None:
    """Lines from each point to the next.

    Args:
        image: (H, W, 3) uint8 RGB, drawn upon.
        points: (n, 2) x and y in pixels; at one that is not finite the line is interrupted.
        colour: RGB.
        thickness: pixels.
    """
    import cv2

    known = np.isfinite(points).all(1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    parts = [_subpixels(points[begin:end]) for begin, end in edges.reshape(-1, 2)]
    if parts:
        cv2.polylines(image, parts, False, colour, thickness, cv2.LINE_AA, SUBPIXEL_BITS)


def area(image: np.ndarray, points: np.ndarray, colour: RGB, opacity: float) -> None:
    """A filled polygon of (n, 2) points, let through by the rest."""
    import cv2

    left, top = np.floor(points.min(0)).astype(int) - 1
    right, bottom = np.ceil(points.max(0)).astype(int) + 2
    left, top = max(left, 0), max(top, 0)
    part = image[top : max(bottom, 0), left : max(right, 0)]
    if part.size:
        over = part.copy()
        cv2.fillPoly(over, [_subpixels(points - (left, top))], colour, cv2.LINE_AA, SUBPIXEL_BITS)
        cv2.addWeighted(over, opacity, part, 1 - opacity, 0, dst=part)


def dot(image: np.ndarray, centre: np.ndarray, radius: float, colour: RGB, rim: RGB = INK) -> None:
    """A disc with a rim."""
    import cv2

    x, y = _subpixels(centre[None])[0].tolist()
    scale = 1 << SUBPIXEL_BITS
    cv2.circle(image, (x, y), round((radius + 1) * scale), rim, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    cv2.circle(image, (x, y), round(radius * scale), colour, -1, cv2.LINE_AA, SUBPIXEL_BITS)


def ellipse_points(centre: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(48, 2) points of an ellipse with half axes (2,) along x and y."""
    angle = np.linspace(0, 2 * np.pi, 48)
    return centre + axes * np.stack([np.cos(angle), np.sin(angle)], 1)


def _subpixels(points: np.ndarray) -> np.ndarray:
    limit = 1 << 26
    return np.clip(np.round(points * (1 << SUBPIXEL_BITS)), -limit, limit).astype(np.int32)
