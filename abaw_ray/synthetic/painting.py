"""Paints face shapes on a canvas with OpenCV. Colours are (blue, green, red)."""

from __future__ import annotations

import cv2
import numpy as np

from abaw_ray.synthetic.faces import Actions, Identity, Shape

_SUBPIXEL_BITS = 4
_BLACK = np.array([18.0, 18.0, 22.0])
_EYE_WHITE = np.array([225.0, 232.0, 235.0])
_TEETH = np.array([215.0, 230.0, 235.0])
_MOUTH = np.array([35.0, 28.0, 70.0])


class _Brush:
    """Draws a shape's parts at their sub-pixel places."""

    def __init__(self, canvas: np.ndarray, shape: Shape, zoom: int) -> None:
        self.canvas, self.scale = canvas, shape.scale * zoom
        ends = np.cumsum([len(p) for p in shape.parts.values()])
        pixels = np.concatenate(list(shape.parts.values())) * zoom + (zoom - 1) / 2
        pixels = np.rint(pixels * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        self.points = {
            name: pixels[end - len(p) : end] for (name, p), end in zip(shape.parts.items(), ends, strict=True)
        }

    def fill(self, points: np.ndarray | str, colour: np.ndarray) -> None:
        points = self.points[points] if isinstance(points, str) else points
        cv2.fillPoly(self.canvas, [points], colour.tolist(), cv2.LINE_8, _SUBPIXEL_BITS)

    def line(self, points: np.ndarray | str, colour: np.ndarray, width: float, closed: bool = False) -> None:
        points = self.points[points] if isinstance(points, str) else points
        thickness = max(1, round(width * self.scale))
        cv2.polylines(self.canvas, [points], closed, colour.tolist(), thickness, cv2.LINE_8, _SUBPIXEL_BITS)

    def disc(self, points: np.ndarray, radius: float, colour: np.ndarray) -> None:
        x, y = (int(v) for v in points[0])
        size = round(radius * self.scale * (1 << _SUBPIXEL_BITS))
        cv2.circle(self.canvas, (x, y), size, colour.tolist(), -1, cv2.LINE_8, _SUBPIXEL_BITS)


def paint_body(canvas: np.ndarray, who: Identity, shape: Shape, zoom: int) -> None:
    """Paints what is behind the face: hair, neck and shoulders. Arguments as `paint_face`."""
    brush = _Brush(canvas, shape, zoom)
    if not who.bald:
        brush.fill("back_hair", np.array(who.hair) * 0.85)
    brush.fill("neck", np.array(who.skin) * 0.78)
    brush.fill("clothes", np.array(who.clothes))


def paint_face(canvas: np.ndarray, who: Identity, actions: Actions, shape: Shape, zoom: int) -> None:
    """Paints one face.

    Args:
        canvas: (zoom * height, zoom * width, 3) uint8, changed in place.
        shape: the face in pixels of the image before zoom.
        zoom: canvas pixels per image pixel.
    """
    brush = _Brush(canvas, shape, zoom)
    hair, skin = np.array(who.hair), np.array(who.skin)
    skin = skin + min(max(actions.flush, -1), 1) * np.array([-14.0, -16.0, 8.0])
    _paint_head(brush, who, skin, hair)
    _paint_lines(brush, actions, skin)
    _paint_eyes(brush, who, skin)
    for name in ("left_brow", "right_brow"):
        brush.line(name, hair * 0.75, 0.075 * who.brow_thickness)
    bridge, base = brush.points["nose_bridge"], brush.points["nose_base"]
    brush.line(np.concatenate([bridge[2:], base[2:3]]), skin * 0.86, 0.05)
    brush.line(base, skin * 0.66, 0.035)
    _paint_mouth(brush, who, actions)
    if who.moustache:
        brush.fill("moustache", hair)
    if who.glasses:
        left, right = brush.points["left_rim"], brush.points["right_rim"]
        brush.line(left, _BLACK + 20, 0.04)
        brush.line(right, _BLACK + 20, 0.04)
        brush.line(np.stack([left[0], right[len(right) // 2]]), _BLACK + 20, 0.04)
    if not who.bald:
        brush.fill("hair", hair)


def _paint_head(brush: _Brush, who: Identity, skin: np.ndarray, hair: np.ndarray) -> None:
    p = brush.points
    brush.fill("left_ear", skin * 0.88)
    brush.fill("right_ear", skin * 0.88)
    brush.fill(np.concatenate([p["jaw"], p["top"]]), skin)
    cheek = skin * [0.94, 0.93, 1.0]
    brush.fill("left_cheek", cheek)
    brush.fill("right_cheek", cheek)
    if who.beard:
        colour = (1 - who.beard) * skin + who.beard * hair
        brush.fill(np.concatenate([p["jaw"][2:15], p["beard"]]), colour)


def _paint_lines(brush: _Brush, a: Actions, skin: np.ndarray) -> None:
    """Creases and folds, the deeper the stronger the movement."""
    p = brush.points
    lines: list[tuple[float, np.ndarray, float]] = [
        (a.brow_raise, p["forehead_crease"], 0.03),
        (a.frown, p["glabella"][:2], 0.03),
        (a.frown, p["glabella"][2:], 0.03),
        (a.nose_wrinkle, p["nose_wrinkle"][:2], 0.03),
        (a.nose_wrinkle, p["nose_wrinkle"][2:], 0.03),
        (max(a.corner, a.nose_wrinkle, a.upper_lip), p["left_fold"], 0.03),
        (max(a.corner, a.nose_wrinkle, a.upper_lip), p["right_fold"], 0.03),
        (a.cheek_raise, p["left_bag"], 0.025),
        (a.cheek_raise, p["right_bag"], 0.025),
        (2 * a.press, p["chin_crease"], 0.03),
    ]
    for depth, points, width in lines:
        if depth > 0.1:
            brush.line(points, skin * (1 - 0.3 * min(depth, 1)), width)


def _paint_eyes(brush: _Brush, who: Identity, skin: np.ndarray) -> None:
    p = brush.points
    for side in ("left", "right"):
        lids, iris = p[f"{side}_eye"], p[f"{side}_iris"]
        upper, height = lids[:7], np.ptp(lids[:, 1]) / (1 << _SUBPIXEL_BITS) / brush.scale
        brush.fill(lids, _EYE_WHITE)
        brush.disc(iris, min(0.095 * who.eye_size, 0.62 * height), np.array(who.iris))
        brush.disc(iris, min(0.045 * who.eye_size, 0.4 * height), _BLACK)
        brush.line(upper, _BLACK + 0.25 * skin, 0.045)
        brush.line(lids[[6, 7, 8, 9, 10, 11, 0]], skin * 0.6, 0.02)


def _paint_mouth(brush: _Brush, who: Identity, a: Actions) -> None:
    lips = np.array(who.lips)
    brush.fill("mouth", lips)
    closed = 0.3 * max(a.press, 0)
    if a.jaw_open > 0.06 + closed or a.upper_lip > 0.2 + closed:
        brush.fill("mouth_inside", _MOUTH)
        brush.fill("teeth", _TEETH)
    brush.line("mouth_inside", lips * 0.5, 0.02, closed=True)
