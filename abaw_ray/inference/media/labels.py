"""The label of a face: who it is, the most probable classes, and what is present."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from abaw_ray.inference.answers import column_names
from abaw_ray.inference.media.shapes import DIM, WHITE, Rect, Sizes, fill, mixed, panel, person_rgb
from abaw_ray.inference.media.text import INK, draw_text, line_height, shortened_to, text_width
from abaw_ray.inference.model_info import ModelInfo

NUM_BARS = 3
"""Classes that have a bar."""
WIDEST_NAME = 9
"""Ems."""


@dataclass(frozen=True)
class Line:
    """A line of a label: a name, and for a class its probability."""

    name: str
    share: float | None = None
    is_first: bool = False
    has_bar: bool = False


@dataclass(frozen=True)
class Label:
    """What stands beside a face, and how much room it takes."""

    badge: str
    lines: tuple[Line, ...]
    width: int
    height: int
    name_width: int


def labels_of(row: dict[str, Any], info: ModelInfo, sizes: Sizes) -> list[Label]:
    """A face's labels from the largest to the smallest: with bars, without, the first class alone, the number alone."""
    heads, bars = [], []
    for space in (space for space in info.spaces if space.kind == "multiclass"):
        values = np.array([row[name] for name in column_names(info, space)], np.float64)
        if np.isnan(values).any():
            continue
        best = np.argsort(-values, kind="stable")[:NUM_BARS].tolist()
        lines = [Line(space.names[k], float(values[k]), k == best[0], True) for k in best]
        heads.append(Line(lines[0].name, lines[0].share, True))
        bars += lines
    names = [name for space in info.spaces if space.kind == "multilabel" for name in _present(row, info, space)]
    widest = _widest_name(info, sizes)
    attributes = [Line(line) for line in _wrapped(names, widest + _bar_width(sizes) + _share_width(sizes), sizes)]
    kinds = [tuple(bars + attributes), tuple(heads + attributes), tuple(heads[:1]), ()]
    return [_label(f"#{row['face']}", lines, widest, sizes) for lines in dict.fromkeys(kinds)]


def draw_label(image: np.ndarray, label: Label, place: Rect, person: int, sizes: Sizes) -> None:
    """Draws a label where it was given room."""
    colour, gap = person_rgb(person), sizes.gap
    panel(image, place)
    badge_width = _badge_width(label.badge, sizes)
    fill(image, Rect(place.left, place.top, place.left + badge_width, place.bottom), colour)
    middle = place.left + (badge_width - text_width(label.badge, sizes.text, True)) // 2
    draw_text(image, label.badge, (middle, place.top + gap // 2), sizes.text, WHITE, True)
    left, top = place.left + badge_width + gap, place.top + gap // 2
    share_right = place.right - gap
    for line in label.lines:
        tint = WHITE if line.is_first or line.share is None else DIM
        width = label.name_width if line.share is not None else place.right - gap - left
        draw_text(
            image,
            shortened_to(line.name, width, sizes.text, line.is_first),
            (left, top),
            sizes.text,
            tint,
            line.is_first,
        )
        if line.share is not None:
            text = f"{line.share:.0%}"
            draw_text(image, text, (share_right - text_width(text, sizes.text), top), sizes.text, tint)
        if line.has_bar:
            _draw_bar(image, line, Rect(left + width + gap, top, share_right - _share_width(sizes), top), sizes, colour)
        top += line_height(sizes.text)


def _draw_bar(image: np.ndarray, line: Line, span: Rect, sizes: Sizes, colour: tuple[int, int, int]) -> None:
    thick = max(3, round(sizes.text * 0.32))
    top = span.top + (line_height(sizes.text) - thick) // 2
    end = span.left + round((span.width) * min(max(line.share or 0.0, 0.0), 1.0))
    fill(image, Rect(span.left, top, span.right, top + thick), DIM, 0.3)
    fill(image, Rect(span.left, top, end, top + thick), colour if line.is_first else mixed(colour, INK, 0.25))


def _label(badge: str, lines: tuple[Line, ...], widest: int, sizes: Sizes) -> Label:
    gap, size = sizes.gap, sizes.text
    width = _badge_width(badge, sizes)
    name_width = widest
    if any(line.has_bar for line in lines):
        width += widest + _bar_width(sizes) + _share_width(sizes) + 3 * gap
    elif lines:
        # as wide as the names of all classes need: one that changed its width with them would jump
        shares = _share_width(sizes) + gap if any(line.share is not None for line in lines) else 0
        names = [text_width(line.name, size) for line in lines if line.share is None]
        width += max([widest + shares if shares else 0, *names]) + 2 * gap
    return Label(badge, lines, width, max(len(lines), 1) * line_height(size) + gap, name_width)


def _present(row: dict[str, Any], info: ModelInfo, space: Any) -> list[str]:
    columns = column_names(info, space)
    return [name for name, column in zip(space.names, columns, strict=True) if row[f"{column}_present"]]


def _wrapped(names: Sequence[str], width: int, sizes: Sizes, most: int = 2) -> list[str]:
    """Names on at most two lines; how many found no room is said at the end."""
    lines: list[str] = []
    for place, name in enumerate(names):
        longer = f"{lines[-1]} {name}" if lines else name
        if lines and text_width(longer, sizes.text) <= width:
            lines[-1] = longer
        elif len(lines) < most:
            lines.append(name)
        else:
            rest = f" +{len(names) - place}"
            lines[-1] = shortened_to(lines[-1], width - text_width(rest, sizes.text), sizes.text) + rest
            break
    return lines


def _widest_name(info: ModelInfo, sizes: Sizes) -> int:
    names = [name for space in info.spaces if space.kind == "multiclass" for name in space.names]
    widest = max((text_width(name, sizes.text, True) for name in names), default=0)
    return min(widest, WIDEST_NAME * sizes.text)


def _bar_width(sizes: Sizes) -> int:
    return 3 * sizes.text


def _share_width(sizes: Sizes) -> int:
    return text_width("100%", sizes.text) + sizes.gap


def _badge_width(badge: str, sizes: Sizes) -> int:
    return text_width(badge, sizes.text, True) + 2 * sizes.gap
