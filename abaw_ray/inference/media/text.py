"""Text on pictures, antialiased and outlined.

OpenCV's own fonts know ASCII alone: glyphs are those of DejaVu Sans, which comes with matplotlib and has Latin, Greek,
Cyrillic and more. For other characters the first installed font that has them is taken; one that none has is a box.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

ASCENT, DESCENT = 0.95, 0.25
"""Of a line, in units of the size: accents and tails of letters are inside."""
INK = (16, 18, 22)
"""Colour of outlines and of what text stands on."""


def line_height(size: int) -> int:
    """Pixels from the top of a line of text to its bottom."""
    return math.ceil(ASCENT * size) + math.ceil(DESCENT * size)


def text_width(text: str, size: int, bold: bool = False) -> int:
    """Pixels that a text of `size` pixels an em takes."""
    return _mask(text, size, bold).shape[1]


def shortened_to(text: str, width: int, size: int, bold: bool = False) -> str:
    """The text, or its beginning and an ellipsis where it is wider than `width` pixels."""
    if text_width(text, size, bold) <= width:
        return text
    length = len(text)
    while length and text_width(f"{text[:length]}…", size, bold) > width:
        length -= 1
    return f"{text[:length].rstrip()}…"


def draw_text(
    image: np.ndarray, text: str, place: tuple[int, int], size: int, colour: tuple[int, int, int], bold: bool = False
) -> None:
    """Draws a line of text; what leaves the picture is cut off.

    Args:
        image: (H, W, 3) uint8 RGB, drawn upon.
        text: one line.
        place: x and y of the line's upper left corner.
        size: pixels an em.
        colour: RGB.
        bold: whether its strokes are thick.
    """
    if text:
        keep, add, margin = _stamp(text, size, colour, bold)
        _put(image, keep, add, place[0] - margin, place[1] - margin)


def _put(image: np.ndarray, keep: np.ndarray, add: np.ndarray, left: int, top: int) -> None:
    """Puts a small picture upon a larger one, cut off at its edges.

    Args:
        image: (H, W, 3) uint8, drawn upon.
        keep: (h, w, 3) uint8, how much of the picture stays, from 0 to 255.
        add: (h, w, 3) uint8, what is added to that.
        left: column of the small one's left edge.
        top: row of its upper edge.
    """
    import cv2

    height, width = keep.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + width, image.shape[1]), min(top + height, image.shape[0])
    if x0 < x1 and y0 < y1:
        inner = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        part = image[y0:y1, x0:x1]
        part[...] = cv2.add(cv2.multiply(part, keep[inner], scale=1 / 255), add[inner])


@lru_cache(4096)
def _stamp(text: str, size: int, colour: tuple[int, int, int], bold: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """What `_put` needs of a text, and by how many pixels its outline is larger than it."""
    import cv2

    margin = max(1, round(size / 12))
    letters = np.pad(_mask(text, size, bold), margin)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    outline = cv2.dilate(letters, kernel)[..., None] / 255 * 0.75
    cover = letters[..., None] / 255
    shown = np.maximum(outline, cover)
    add = cover * np.array(colour) + (shown - cover) * np.array(INK)
    keep = np.broadcast_to((1 - shown) * 255, add.shape)
    return np.round(keep).astype(np.uint8), np.floor(add).astype(np.uint8), margin


@lru_cache(4096)
def _mask(text: str, size: int, bold: bool) -> np.ndarray:
    """How far each pixel of a line is covered by letters: (line height, width) uint8."""
    font = _font_with(text, bold)
    font.set_size(size, 72)
    font.set_text(text)
    font.draw_glyphs_to_bitmap(antialiased=True)
    letters = np.asarray(font.get_image())
    mask = np.zeros((line_height(size), max(letters.shape[1], 1)), np.uint8)
    top = math.ceil(ASCENT * size) - letters.shape[0] + round(font.get_descent() / 64)
    y0, y1 = max(top, 0), min(top + len(letters), len(mask))
    mask[y0:y1, : letters.shape[1]] = letters[y0 - top : y1 - top]
    return mask


def _font_with(text: str, bold: bool) -> Any:
    """DejaVu Sans, or where it lacks a character the first installed font that has all of them."""
    usual = _font(_usual_file(bold))
    if all(usual.get_char_index(ord(character)) for character in text):
        return usual
    return _font(_file_with("".join(sorted(set(text))), _usual_file(bold)))


@lru_cache(256)
def _file_with(characters: str, otherwise: str) -> str:
    from matplotlib import font_manager

    # the last resort has a box for each script
    files = {entry.fname for entry in font_manager.fontManager.ttflist}
    for file in sorted(files, key=lambda file: ("lastresort" in file.lower(), file)):
        if all(_font(file).get_char_index(ord(character)) for character in characters):
            return file
    return otherwise


@lru_cache(2)
def _usual_file(bold: bool) -> str:
    import matplotlib

    return f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf"


@lru_cache(16)
def _font(file: str) -> Any:
    from matplotlib import ft2font

    return ft2font.FT2Font(file)


def families_for(text: str) -> list[str]:
    """Fonts with which matplotlib draws a text: its usual one, and one that has what that lacks."""
    from matplotlib.font_manager import FontProperties

    files = dict.fromkeys((_usual_file(False), _font_with(text, False).fname))
    return [FontProperties(fname=file).get_name() for file in files]
