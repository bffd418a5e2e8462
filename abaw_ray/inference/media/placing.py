"""Where labels go so that they stay in the picture and cover neither faces nor each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from abaw_ray.inference.media.labels import Label
from abaw_ray.inference.media.shapes import Rect, Sizes

ELSEWHERE = -1
"""The side of a label that found no place at its box."""


def placed(
    labels: Sequence[Label],
    box: Rect,
    others: Sequence[Rect],
    taken: Sequence[Rect],
    sizes: Sizes,
    last: int | None,
) -> tuple[tuple[int, int], Rect]:
    """The label that there is room for, and its place.

    Args:
        labels: of one face, from the largest to the smallest.
        box: around the face, inside the picture.
        others: boxes of the other faces.
        taken: what has been drawn, and may not be covered.
        sizes: of the picture.
        last: the side of this person's label in the last frame: kept where it still fits, so that labels do not jump.

    Returns:
        Which label and which side of the box, and the rectangle of the label.
    """
    tries = [(kind, side, place) for kind, label in enumerate(labels) for side, place in _sides(label, box, sizes)]
    tries.sort(key=lambda one: (one[0], one[1] != last))
    for blocking in ([*taken, *others], taken):
        for kind, side, place in tries:
            if not any(place.overlap(other) for other in blocking):
                return (kind, side), place
    for kind, label in list(enumerate(labels))[-2:]:
        nearest = _nearest_free(label, box, taken, sizes)
        if nearest:
            return (kind, ELSEWHERE), nearest
    # no room is left in the whole picture
    return (len(labels) - 1, ELSEWHERE), _at(labels[-1], box.left, box.top).inside(sizes.picture)


def _nearest_free(label: Label, box: Rect, taken: Sequence[Rect], sizes: Sizes) -> Rect | None:
    """The free place nearest to a box's upper left corner, on a grid as fine as the label is high."""
    step = max(label.height // 2, 1)
    lefts, tops = np.arange(0, sizes.width - label.width + 1, step), np.arange(0, sizes.height - label.height + 1, step)
    if not len(lefts) or not len(tops):
        return None
    left, top = np.meshgrid(lefts, tops)
    distance = ((left - box.left) ** 2 + (top - box.top) ** 2).astype(np.float64)
    for other in taken:
        across = (left < other.right) & (left + label.width > other.left)
        distance[across & (top < other.bottom) & (top + label.height > other.top)] = np.inf
    nearest = np.unravel_index(distance.argmin(), distance.shape)
    return _at(label, int(left[nearest]), int(top[nearest])) if np.isfinite(distance[nearest]) else None


def _at(label: Label, left: int, top: int) -> Rect:
    return Rect(left, top, left + label.width, top + label.height)


def _sides(label: Label, box: Rect, sizes: Sizes) -> Iterator[tuple[int, Rect]]:
    """Places around a box that are inside the picture; the last two are in it, where it is much larger."""
    gap, width, height = sizes.gap // 2, label.width, label.height
    corners = [
        (box.left, box.top - gap - height),
        (box.left, box.bottom + gap),
        (box.right + gap, box.top),
        (box.left - gap - width, box.top),
        (box.right - width, box.top - gap - height),
        (box.right - width, box.bottom + gap),
    ]
    for side, (left, top) in enumerate(corners):
        moved = Rect(left, top, left + width, top + height).inside(sizes.picture)
        if not moved.overlap(box) and moved.right <= sizes.width and moved.bottom <= sizes.height:
            yield side, moved
    if box.height > 4 * height and box.width > width:
        yield len(corners), Rect(box.left, box.bottom - height, box.left + width, box.bottom)
        yield len(corners) + 1, Rect(box.left, box.top, box.left + width, box.top + height)
