"""What a model says of the faces of a picture, drawn upon it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from abaw_ray.inference.media.curves import draw_curves, strip_place
from abaw_ray.inference.media.dials import dial_places, draw_dial
from abaw_ray.inference.media.history import History
from abaw_ray.inference.media.labels import draw_label, labels_of
from abaw_ray.inference.media.placing import placed
from abaw_ray.inference.media.shapes import WHITE, Rect, Sizes, panel, person_rgb, polyline
from abaw_ray.inference.media.text import INK, draw_text, line_height, text_width
from abaw_ray.inference.model_info import ModelInfo

NO_FACE = "no face"


def annotate(
    image: np.ndarray, rows: Sequence[dict[str, Any]], info: ModelInfo, history: History | None = None
) -> np.ndarray:
    """Draws boxes, labels, dials, and curves of the last seconds.

    A person has one colour in all of them. In the lower strip a ribbon's height is the probability of the class that is
    written on it. A dial's ellipse is one deviation wide to each side. What a small picture has no room for is left
    out: bars first, then attributes, then the label but for the person's number; curves and dials that do not fit.

    Args:
        image: (H, W, 3) uint8 RGB, left as it is.
        rows: of this picture, each with the columns of `answers_schema`; boxes may leave the picture.
        info: of the model.
        history: of the video up to this frame, which it has been given (`History.add`); None: a picture.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    drawn = np.array(image, order="C")
    sizes = Sizes.of(drawn)
    faces = [row for row in rows if row["face"] is not None]
    boxes = [_box(row, sizes) for row in faces]
    strip = strip_place(info, sizes) if history else None
    bottom = strip.top if strip else sizes.height
    dials = dial_places(info, sizes, bottom, _dials_on_left(boxes, sizes, history)) if faces or history else []
    for row, box in zip(faces, boxes, strict=True):
        _draw_box(drawn, box, row["face"], sizes)
    if strip and history:
        draw_curves(drawn, strip, info, history, sizes)
    for space, place in dials:
        draw_dial(drawn, place, space, faces, info, history, sizes)
    taken = [place for _, place in dials] + ([strip] if strip else [])
    if not faces:
        taken.append(_draw_no_face(drawn, sizes, on_left=not (history and history.dials_left)))
    for turn, row in enumerate(faces):
        others = boxes[:turn] + boxes[turn + 1 :]
        labels = labels_of(row, info, sizes)
        last = history.placed.get(row["face"]) if history else None
        choice, place = placed(labels, boxes[turn], others, taken, sizes, last)
        if history:
            history.placed[row["face"]] = choice
        draw_label(drawn, labels[choice[0]], place, row["face"], sizes)
        taken.append(place)
    return drawn


def _box(row: dict[str, Any], sizes: Sizes) -> Rect:
    """A face's box, as far as it is in the picture: at least a pixel at its edge."""
    left, right = (min(max(round(row[side]), 0), sizes.width - 1) for side in ("left", "right"))
    top, bottom = (min(max(round(row[side]), 0), sizes.height - 1) for side in ("top", "bottom"))
    return Rect(left, top, max(right, left + 1), max(bottom, top + 1))


def _dials_on_left(boxes: Sequence[Rect], sizes: Sizes, history: History | None) -> bool:
    """The upper corner in which dials cover less of the faces: in a video, of the first that are seen."""
    if history and history.dials_left is not None:
        return history.dials_left
    side, middle = round(0.35 * sizes.width), sizes.height // 2
    corners = (Rect(0, 0, side, middle), Rect(sizes.width - side, 0, sizes.width, middle))
    left, right = (sum(corner.overlap(box) for box in boxes) for corner in corners)
    if history and boxes:
        history.dials_left = left < right
    return left < right


def _draw_box(image: np.ndarray, box: Rect, person: int, sizes: Sizes) -> None:
    """A thin frame with strong corners, on a dark one, so that it is seen on any ground."""
    left, top, right, bottom = box.left, box.top, box.right - 1, box.bottom - 1
    tint, reach = person_rgb(person), round(0.18 * min(box.width, box.height))
    frame = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], float)
    polyline(image, frame, INK, 3 * sizes.line)
    polyline(image, frame, tint, sizes.line)
    for x, y, across, down in ((left, top, 1, 1), (right, top, -1, 1), (right, bottom, -1, -1), (left, bottom, 1, -1)):
        corner = [(x + across * reach, y), (x, y), (x, y + down * reach)]
        polyline(image, np.array(corner, float), tint, 3 * sizes.line)


def _draw_no_face(image: np.ndarray, sizes: Sizes, on_left: bool) -> Rect:
    width, height = text_width(NO_FACE, sizes.text) + 2 * sizes.gap, line_height(sizes.text) + sizes.gap
    left = sizes.gap if on_left else sizes.width - sizes.gap - width
    place = Rect(left, sizes.gap, left + width, sizes.gap + height)
    panel(image, place)
    draw_text(image, NO_FACE, (place.left + sizes.gap, place.top + sizes.gap // 2), sizes.text, WHITE)
    return place
