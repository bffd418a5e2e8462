"""Curves of the last seconds along a picture's lower edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from abaw_ray.inference.answers import column_names
from abaw_ray.inference.media.history import SPAN, History
from abaw_ray.inference.media.shapes import DIM, WHITE, Rect, Sizes, area, fill, mixed, panel, person_rgb, polyline
from abaw_ray.inference.media.text import INK, draw_text, line_height, shortened_to, text_width
from abaw_ray.inference.model_info import ModelInfo
from abaw_ray.spaces import LabelSpace

NARROWEST = 9
"""Ems that a lane needs."""
MOST_PERSONS = 3
"""Those who are drawn: of more nobody could be told from the others."""
SMALLEST_TEXT = 9


@dataclass(frozen=True)
class Lane:
    """What one of the small charts shows: a multiclass space, or one dimension of a regression."""

    space: LabelSpace
    name: str
    column: str


def lanes_of(info: ModelInfo, sizes: Sizes) -> list[Lane]:
    """The charts that there is room for beside each other."""
    lanes = []
    for space in info.spaces:
        if space.kind == "multiclass":
            lanes.append(Lane(space, space.name.replace("_", " "), space.name))
        elif space.kind == "regression":
            lanes += [Lane(space, *pair) for pair in zip(space.names, column_names(info, space), strict=True)]
    return lanes[: max(1, sizes.width // (NARROWEST * sizes.text))]


def strip_place(info: ModelInfo, sizes: Sizes) -> Rect | None:
    """The strip along the lower edge; None where there is nothing to draw, or no room."""
    height = line_height(sizes.text) + max(2 * sizes.text, round(0.075 * sizes.height)) + 2 * sizes.gap
    if not lanes_of(info, sizes) or height > sizes.height // 3:
        return None
    return Rect(0, sizes.height - height, sizes.width, sizes.height)


def draw_curves(image: np.ndarray, strip: Rect, info: ModelInfo, history: History, sizes: Sizes) -> None:
    """Draws the strip; the present is at the right end of each chart."""
    panel(image, strip)
    lanes, gap = lanes_of(info, sizes), sizes.gap
    persons = _present_last(history)[:MOST_PERSONS]
    edges = np.linspace(strip.left, strip.right, len(lanes) + 1).round().astype(int).tolist()
    for place, lane in enumerate(lanes):
        top = strip.top + gap // 2
        left, right = edges[place] + 2 * gap, edges[place + 1] - 2 * gap
        chart = Rect(left, top + line_height(sizes.text) + gap // 2, right, strip.bottom - gap)
        _draw_title(image, lane, persons, history, Rect(left, top, right, chart.top), sizes, is_first=place == 0)
        if lane.space.kind == "multiclass":
            _draw_ribbons(image, chart, lane, persons, info, history, sizes)
        else:
            _draw_lines(image, chart, lane, persons, history, sizes)


def _present_last(history: History) -> list[int]:
    """Persons, those who are seen now before those who were."""
    seen = {person: history.seen_now(person) for person in history.persons}
    return sorted(seen, key=lambda person: (not seen[person], person))


def _draw_title(
    image: np.ndarray, lane: Lane, persons: list[int], history: History, place: Rect, sizes: Sizes, is_first: bool
) -> None:
    name, right = f"{lane.name}, last {SPAN:.0f} s" if is_first else lane.name, place.right
    room = place.width - text_width(lane.name, sizes.text) - sizes.gap
    told = []
    for person in (person for person in persons if history.seen_now(person)):
        text = _told(lane, history.now(person, lane.column))
        room -= text_width(text, sizes.text) + sizes.gap
        if room >= 0:
            told.append((text, person))
    for text, person in reversed(told):
        right -= text_width(text, sizes.text)
        draw_text(image, text, (right, place.top), sizes.text, person_rgb(person))
        right -= sizes.gap
    whole = text_width(name, sizes.text) <= right - place.left
    shown = name if whole else shortened_to(lane.name, right - place.left, sizes.text)
    draw_text(image, shown, (place.left, place.top), sizes.text, WHITE)


def _told(lane: Lane, value: str | float | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:+.2f}" if lane.space.low < 0 else f"{value:.2f}"


def _draw_lines(image: np.ndarray, chart: Rect, lane: Lane, persons: list[int], history: History, sizes: Sizes) -> None:
    """A line for each person, over the range of the regression."""
    low, high = lane.space.low, lane.space.high
    fill(image, chart, DIM, 0.08)
    if low < 0 < high:
        zero = round(chart.bottom - chart.height * -low / (high - low))
        fill(image, Rect(chart.left, zero, chart.right, zero + 1), DIM, 0.45)
    x = _columns(history, chart)
    for person in reversed(persons):
        share = np.clip((history.values(person, lane.column) - low) / (high - low), 0, 1)
        points = np.stack([x, chart.bottom - share * chart.height], 1)
        polyline(image, points, person_rgb(person), max(1, sizes.line))


def _draw_ribbons(
    image: np.ndarray,
    chart: Rect,
    lane: Lane,
    persons: list[int],
    info: ModelInfo,
    history: History,
    sizes: Sizes,
) -> None:
    """For each person the most probable class by name, and its probability as the ribbon's height."""
    x, height = _columns(history, chart), chart.height // max(len(persons), 1)
    if not persons:
        fill(image, chart, DIM, 0.08)
    columns = dict(zip(lane.space.names, column_names(info, lane.space), strict=True))
    for turn, person in enumerate(persons):
        ribbon = Rect(chart.left, chart.top + turn * height, chart.right, chart.top + (turn + 1) * height - 1)
        fill(image, ribbon, DIM, 0.08)
        names = history.names(person, lane.column)
        for begin, end in _runs(names):
            name = names[begin]
            if name is None:
                continue
            stop = min(end, len(x) - 1)  # up to where the next begins
            share = history.values(person, columns[name])[begin:end]
            share = np.append(share, share[-1:]) if stop == end else share
            _draw_run(image, ribbon, x[begin : stop + 1], share, name, person_rgb(person), sizes)


def _draw_run(
    image: np.ndarray,
    ribbon: Rect,
    x: np.ndarray,
    share: np.ndarray,
    name: str,
    tint: tuple[int, int, int],
    sizes: Sizes,
) -> None:
    y = ribbon.bottom - np.clip(share, 0, 1) * ribbon.height
    outline = np.concatenate([np.stack([x, y], 1), [(x[-1], ribbon.bottom), (x[0], ribbon.bottom)]])
    area(image, outline, mixed(tint, INK, 0.45), 0.9)
    polyline(image, np.stack([x, y], 1), tint, sizes.line)
    fill(image, Rect(round(x[0]), ribbon.top, round(x[0]) + 1, ribbon.bottom), INK)
    size = max(SMALLEST_TEXT, min(round(0.85 * sizes.text), round(ribbon.height / 1.1)))
    if line_height(size) <= ribbon.height + 3 and text_width(name, size) + sizes.gap <= x[-1] - x[0]:
        draw_text(image, name, (round(x[0]) + sizes.gap // 2 + 1, ribbon.bottom - line_height(size)), size, WHITE)


def _columns(history: History, chart: Rect) -> np.ndarray:
    return chart.right + history.times / SPAN * chart.width


def _runs(names: list[str | None]) -> list[tuple[int, int]]:
    """Begin and end of what is equal one after the other."""
    starts = [k for k, name in enumerate(names) if k == 0 or name != names[k - 1]]
    return list(zip(starts, [*starts[1:], len(names)], strict=True))
