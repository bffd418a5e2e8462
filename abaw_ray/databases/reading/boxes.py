"""Files of face boxes: where a face is in the frames of a video, as any detector can write it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from abaw_ray.databases.reading.parsing import LARGEST_INTEGER, parse_numbers, read_lines
from abaw_ray.errors import DatabaseFormatError, quoted

HEADER = "frame,left,top,right,bottom"
LINE = "a frame number from 0, larger than the one before, and left < right, top < bottom in pixels"


def read_boxes(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of one face track: a line for each frame in which the face was found, below a header.

    Returns:
        Frames (n,) int64, ascending, and boxes (n, 4) float32: left, top, right, bottom in pixels.

    Raises:
        DatabaseFormatError: another header or a line that is none; the message names it.
    """
    lines = read_lines(file)
    if not lines or lines[0].replace(" ", "") != HEADER:
        raise DatabaseFormatError(file, 1, quoted(lines[0]) if lines else "nothing", f"the header {HEADER}")
    numbers = parse_numbers(file, lines[1:], 2, 5, f"{HEADER}: {LINE}")
    in_range = np.abs(numbers[:, 0]) < LARGEST_INTEGER
    frames, boxes = np.where(in_range, numbers[:, 0], -1).astype(np.int64), numbers[:, 1:].astype(np.float32)
    wrong = (frames != numbers[:, 0]) | (np.diff(frames, prepend=-1) <= 0)
    wrong |= (boxes[:, 0] >= boxes[:, 2]) | (boxes[:, 1] >= boxes[:, 3])
    if wrong.any():
        line = int(np.argmax(wrong)) + 1
        raise DatabaseFormatError(file, line + 1, quoted(lines[line]), LINE)
    return frames, boxes
