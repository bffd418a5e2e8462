"""Boxes: left, top, right, bottom in pixels."""

from __future__ import annotations

import numpy as np


def centres(boxes: np.ndarray) -> np.ndarray:
    """(..., 2) x and y of boxes (..., 4)."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def sides(boxes: np.ndarray) -> np.ndarray:
    """(..., 2) width and height of boxes (..., 4)."""
    return boxes[..., 2:] - boxes[..., :2]


def areas(boxes: np.ndarray) -> np.ndarray:
    """(...) of boxes (..., 4)."""
    return sides(boxes).prod(-1)


def shared_areas(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n, m) area that each of boxes (n, 4) has in common with each of others (m, 4)."""
    start = np.maximum(boxes[:, None, :2], others[:, :2])
    end = np.minimum(boxes[:, None, 2:], others[:, 2:])
    return np.maximum(end - start, 0).prod(-1)


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n, m) intersection over union of each of boxes (n, 4) with each of others (m, 4)."""
    inside = shared_areas(boxes, others)
    return inside / (areas(boxes)[:, None] + areas(others) - inside)
