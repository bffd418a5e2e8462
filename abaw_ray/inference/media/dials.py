"""Dials of regressions: a plane for two dimensions, bars for any other number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from abaw_ray.inference.answers import column_names
from abaw_ray.inference.media.history import Corner, History
from abaw_ray.inference.media.shapes import (
    DIM,
    WHITE,
    Rect,
    Sizes,
    area,
    dot,
    ellipse_points,
    fill,
    mixed,
    panel,
    person_rgb,
    polyline,
)
from abaw_ray.inference.media.text import INK, draw_text, line_height, shortened_to, text_width
from abaw_ray.inference.model_info import ModelInfo
from abaw_ray.spaces import LabelSpace

TRAIL = 2.0
"""Seconds of the trail behind a dot."""
NUM_FADES = 8
MOST_BARS = 3
"""Persons that have bars of their own in each dimension."""


def dial_places(info: ModelInfo, sizes: Sizes, bottom: int, corner: Corner) -> list[tuple[LabelSpace, Rect]]:
    """Where dials go, above each other in a corner of what is above `bottom`; those that find no room are left out."""
    places, top = [], sizes.gap
    for space in (space for space in info.spaces if space.kind == "regression"):
        side = max(4 * sizes.text, round(0.19 * min(sizes.width, sizes.height)))
        width = side + 2 * sizes.gap
        height = side + 2 * line_height(sizes.text) + sizes.gap if space.size == 2 else _bars_height(space, sizes)
        left = sizes.gap if corner.is_left else sizes.width - sizes.gap - width
        if top + height <= bottom and width < sizes.width // 2:
            places.append((space, Rect(left, top, left + width, top + height)))
            top += height + sizes.gap
    down = bottom - top if corner.is_low else 0
    return [(space, Rect(place.left, place.top + down, place.right, place.bottom + down)) for space, place in places]


def draw_dial(
    image: np.ndarray,
    place: Rect,
    space: LabelSpace,
    faces: Sequence[dict[str, Any]],
    info: ModelInfo,
    history: History | None,
    sizes: Sizes,
) -> None:
    """Draws what a regression says of the faces of a picture."""
    panel(image, place)
    if space.size == 2:
        _draw_plane(image, place, space, faces, info, history, sizes)
    else:
        _draw_bars(image, place, space, faces, info, sizes)


def _draw_plane(
    image: np.ndarray,
    place: Rect,
    space: LabelSpace,
    faces: Sequence[dict[str, Any]],
    info: ModelInfo,
    history: History | None,
    sizes: Sizes,
) -> None:
    gap, side = sizes.gap, place.width - 2 * sizes.gap
    plane = Rect(place.left + gap, place.top + line_height(sizes.text) + gap // 2, place.right - gap, 0)
    plane = Rect(plane.left, plane.top, plane.right, plane.top + side)
    _draw_axes(image, plane, space, sizes)
    columns = column_names(info, space)
    for row in faces:
        person, values = row["face"], np.array([row[column] for column in columns], np.float64)
        if np.isnan(values).any():
            continue
        tint = person_rgb(person)
        deviation = np.array([row[f"{column}_deviation"] for column in columns], np.float64)
        centre = _in_plane(values, plane, space)
        if np.isfinite(deviation).all():
            axes = np.minimum(deviation / (space.high - space.low) * side, side / 2)
            ring = _clipped(ellipse_points(centre, axes), plane)
            area(image, ring, tint, 0.2)
            polyline(image, ring, mixed(tint, INK, 0.35), 1)
        if history:
            _draw_trail(image, history, person, columns, plane, space, tint, sizes)
        dot(image, centre, max(2.5, sizes.text * 0.24), tint, WHITE)


def _draw_axes(image: np.ndarray, plane: Rect, space: LabelSpace, sizes: Sizes) -> None:
    side, middle = plane.width, _in_plane(np.array(_origin(space)), plane, space)
    fill(image, plane, DIM, 0.12)
    corners = [
        (plane.left, plane.top),
        (plane.right, plane.top),
        (plane.right, plane.bottom),
        (plane.left, plane.bottom),
    ]
    polyline(image, np.array([*corners, corners[0]], float), mixed(DIM, INK, 0.5), 1)
    polyline(image, np.array([(plane.left, middle[1]), (plane.right, middle[1])], float), mixed(DIM, INK, 0.2), 1)
    polyline(image, np.array([(middle[0], plane.top), (middle[0], plane.bottom)], float), mixed(DIM, INK, 0.2), 1)
    across, up = (_axis_name(name, arrow, side, sizes) for name, arrow in zip(space.names, "→↑", strict=True))
    draw_text(image, up, (plane.left, plane.top - line_height(sizes.text)), sizes.text, WHITE)
    right = plane.right - text_width(across, sizes.text)
    draw_text(image, across, (right, plane.bottom), sizes.text, WHITE)


def _axis_name(name: str, arrow: str, room: int, sizes: Sizes) -> str:
    whole = f"{name} {arrow}"
    return whole if text_width(whole, sizes.text) <= room else shortened_to(name, room, sizes.text)


def _draw_trail(
    image: np.ndarray,
    history: History,
    person: int,
    columns: list[str],
    plane: Rect,
    space: LabelSpace,
    tint: tuple[int, int, int],
    sizes: Sizes,
) -> None:
    recent = np.flatnonzero(history.times >= -TRAIL)
    values = np.stack([history.values(person, column) for column in columns], 1)[recent]
    points = _in_plane(values, plane, space)
    edges = np.linspace(0, len(points) - 1, NUM_FADES + 1).round().astype(int)
    for fade, (begin, end) in enumerate(pairwise(edges)):
        if end > begin:
            polyline(
                image,
                points[begin : end + 1],
                mixed(INK, tint, 0.25 + 0.75 * (fade + 1) / NUM_FADES),
                max(1, sizes.line),
            )


def _draw_bars(
    image: np.ndarray, place: Rect, space: LabelSpace, faces: Sequence[dict[str, Any]], info: ModelInfo, sizes: Sizes
) -> None:
    gap, top = sizes.gap, place.top + sizes.gap // 2
    left, right = place.left + gap, place.right - gap
    thick = _bar_thickness(sizes)
    for name, column, zero in zip(space.names, column_names(info, space), _origin(space), strict=True):
        shown = [row for row in faces if row[column] is not None and np.isfinite(row[column])][:MOST_BARS]
        value = f"{shown[0][column]:.2f}" if len(shown) == 1 else ""
        room = right - left - text_width(value, sizes.text) - gap
        draw_text(image, shortened_to(name, room, sizes.text), (left, top), sizes.text, WHITE)
        draw_text(image, value, (right - text_width(value, sizes.text), top), sizes.text, DIM)
        top += line_height(sizes.text)
        track = Rect(left, top, right, top + MOST_BARS * thick)
        fill(image, track, DIM, 0.2)
        for place_of, row in enumerate(shown):
            _draw_bar(image, track, space, row, column, zero, place_of, len(shown))
        start = round(_along(zero, track, space))
        fill(image, Rect(start, track.top - 1, start + 1, track.bottom + 1), WHITE)
        top = track.bottom + gap


def _draw_bar(
    image: np.ndarray, track: Rect, space: LabelSpace, row: dict[str, Any], column: str, zero: float, turn: int, of: int
) -> None:
    """One person's bar from zero to the value, and a thin line over one deviation to both sides."""
    top = track.top + turn * track.height // of
    bottom = track.top + (turn + 1) * track.height // of
    start, end = sorted((_along(zero, track, space), _along(row[column], track, space)))
    fill(image, Rect(round(start), top, max(round(end), round(start) + 1), bottom), person_rgb(row["face"]))
    deviation = row[f"{column}_deviation"]
    if deviation is not None and np.isfinite(deviation):
        ends = [_along(row[column] + sign * deviation, track, space) for sign in (-1, 1)]
        polyline(image, np.array([(x, (top + bottom) / 2) for x in ends]), WHITE, 1)


def _along(value: float, track: Rect, space: LabelSpace) -> float:
    share = (value - space.low) / (space.high - space.low)
    return track.left + min(max(share, 0.0), 1.0) * track.width


def _in_plane(values: np.ndarray, plane: Rect, space: LabelSpace) -> np.ndarray:
    """Pixels (..., 2) of values (..., 2), the second dimension upwards."""
    share = np.clip((values - space.low) / (space.high - space.low), 0, 1)
    return np.stack([plane.left + share[..., 0] * plane.width, plane.bottom - share[..., 1] * plane.height], -1)


def _clipped(points: np.ndarray, plane: Rect) -> np.ndarray:
    return np.clip(points, (plane.left, plane.top), (plane.right, plane.bottom))


def _origin(space: LabelSpace) -> list[float]:
    """Where bars begin and axes cross: 0 if the range has it, else its lower end."""
    return [0.0 if space.low <= 0 <= space.high else space.low] * space.size


def _bar_thickness(sizes: Sizes) -> int:
    return max(2, round(sizes.text * 0.16))


def _bars_height(space: LabelSpace, sizes: Sizes) -> int:
    each = line_height(sizes.text) + MOST_BARS * _bar_thickness(sizes) + sizes.gap
    return space.size * each + sizes.gap // 2
