"""The palette on light and on dark pages: the variables of a page's style."""

from __future__ import annotations

from abaw_ray.palette import COLOURS

LIGHT, DARK = "#ffffff", "#14181d"
"""Backgrounds."""

MIN_CONTRAST = 4.0
"""Of lines and areas that say something; 3 is the least (WCAG 2.2, criterion 1.4.11)."""

STEP = 0.05


def variables(background: str) -> str:
    """`--series-0: #...;` and so on: the palette's colours as they can be told from a background."""
    dark = _luminance(background) < 0.5
    return " ".join(f"{variable(place)}: {_readable(c, background, dark)};" for place, c in enumerate(COLOURS))


def variable(place: int) -> str:
    """Name of the variable that holds the colour of a line or class at a place."""
    return f"--series-{place % len(COLOURS)}"


def contrast(one: str, other: str) -> float:
    """Contrast of two colours #rrggbb, from 1 to 21 (WCAG 2.2)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _readable(colour: str, background: str, dark: bool) -> str:
    """The colour, lighter or darker until it has enough contrast."""
    goal, share, found = 255 if dark else 0, 0.0, colour
    while contrast(found, background) < MIN_CONTRAST:
        share += STEP
        found = "#" + "".join(f"{round(c + (goal - c) * share):02x}" for c in _channels(colour))
    return found


def _channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
