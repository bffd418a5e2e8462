"""What a model says of the faces of a picture, drawn upon it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from abaw_ray.inference.media.curves import draw_curves, strip_place
from abaw_ray.inference.media.dials import dial_places, draw_dial
from abaw_ray.inference.media.history import Corner, History
from abaw_ray.inference.media.labels import draw_label, labels_of
from abaw_ray.inference.media.placing import placed
from abaw_ray.inference.media.shapes import WHITE, Rect, Sizes, panel, person_rgb, polyline
from abaw_ray.inference.media.text import INK, draw_text, line_height, text_width
from abaw_ray.inference.model_info import ModelInfo
from abaw_ray.spaces import LabelSpace

NO_FACE = "no face"
CORNERS = [Corner(is_left, is_low) for is_low in (False, True) for is_left in (False, True)]
"""For dials, the first where several do."""


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
    dials = _dials(boxes, info, sizes, bottom, history) if faces or history else []
    for row, box in zip(faces, boxes, strict=True):
        _draw_box(drawn, box, row["face"], sizes)
    if strip and history:
        draw_curves(drawn, strip, info, history, sizes)
    for space, place in dials:
        draw_dial(drawn, place, space, faces, info, history, sizes)
    taken = [place for _, place in dials] + ([strip] if strip else [])
    if not faces:
        taken.append(_draw_no_face(drawn, taken, sizes))
    for turn, row in enumerate(faces):
        others = boxes[:turn] + boxes[turn + 1 :]
        labels = labels_of(row, info, sizes)
        last = history.sides.get(row["face"]) if history else None
        (kind, side), place = placed(labels, boxes[turn], others, taken, sizes, last)
        if history:
            history.sides[row["face"]] = side
        draw_label(drawn, labels[kind], place, row["face"], sizes)
        taken.append(place)
    return drawn


def _box(row: dict[str, Any], sizes: Sizes) -> Rect:
    """A face's box, as far as it is in the picture: at least a pixel at its edge."""
    left, right = (min(max(round(row[side]), 0), sizes.width - 1) for side in ("left", "right"))
    top, bottom = (min(max(round(row[side]), 0), sizes.height - 1) for side in ("top", "bottom"))
    return Rect(left, top, max(right, left + 1), max(bottom, top + 1))


def _dials(
    boxes: Sequence[Rect], info: ModelInfo, sizes: Sizes, bottom: int, history: History | None
) -> list[tuple[LabelSpace, Rect]]:
    """Dials and their places, in the corner in which they cover least of the faces: in a video, of those seen first."""
    if history and history.dials:
        return dial_places(info, sizes, bottom, history.dials)
    found = {corner: dial_places(info, sizes, bottom, corner) for corner in CORNERS}
    covered = {c: sum(place.overlap(box) for _, place in places for box in boxes) for c, places in found.items()}
    best = min(CORNERS, key=covered.__getitem__)
    if history and boxes:
        history.dials = best
    return found[best]


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


def _draw_no_face(image: np.ndarray, taken: Sequence[Rect], sizes: Sizes) -> Rect:
    """Says so in the left upper corner, or in the right one if that is taken."""
    width, height, gap = text_width(NO_FACE, sizes.text) + 2 * sizes.gap, line_height(sizes.text) + sizes.gap, sizes.gap
    places = [Rect(left, gap, left + width, gap + height) for left in (gap, sizes.width - gap - width)]
    place = min(places, key=lambda place: sum(place.overlap(other) for other in taken))
    panel(image, place)
    draw_text(image, NO_FACE, (place.left + gap, place.top + gap // 2), sizes.text, WHITE)
    return place
