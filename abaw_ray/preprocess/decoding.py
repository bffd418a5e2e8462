"""Reads image files; a file that is cut short is an error, not a picture with a grey part."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

JPEG_START, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG", b"IEND"
PNG_TAIL = 64


class UnreadableImage(ValueError):
    """A file that is no whole image."""


def read_image(path: Path, apply_orientation: bool) -> np.ndarray:
    """An image (height, width, 3) uint8 RGB.

    Args:
        path: a file of any format that OpenCV reads.
        apply_orientation: turn the picture as its EXIF tag says. Not where coordinates refer to the stored pixels.

    Raises:
        FileNotFoundError: no such file.
        UnreadableImage: not an image, not whole, or not allowed to be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableImage(error.strerror or "cannot be read") from None
    if not content:
        raise UnreadableImage("empty file")
    if _is_cut_short(content):
        raise UnreadableImage("file cut short")
    flags = cv2.IMREAD_COLOR_RGB | (0 if apply_orientation else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise UnreadableImage(error.err) from None
    if image is None:
        raise UnreadableImage("not an image")
    return image


def _is_cut_short(content: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; OpenCV would fill up the rest of the picture without a word."""
    if content.startswith(JPEG_START):
        # bytes after the end are common; the pair of an end never occurs within a scan, a thumbnail has its own
        return not content.endswith(JPEG_END) and content.rfind(JPEG_END) < content.rfind(JPEG_SCAN)
    return content.startswith(PNG_START) and PNG_END not in content[-PNG_TAIL:]
