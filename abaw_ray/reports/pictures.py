"""Faces of a store as small pictures within a page."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from abaw_ray.blocks.pictures import pictures
from abaw_ray.blocks.reader import Store

SIDE = 112
"""Most pixels of a side."""

QUALITY = 80
MAX_BYTES = 2_500_000
"""Of all pictures of a page, for the page to stay below 5 MB."""


class Album:
    """Gives pictures until a page has enough of them, and counts those that it did not give."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._left = max_bytes
        self.num_left_out = 0

    def uris(self, store: Store, rows: np.ndarray) -> list[str | None]:
        """Data URIs of the faces in `rows` (n,) of a store; None where the page has no room for more.

        Raises:
            StoreError: a block of the store is missing or damaged.
        """
        found: list[str | None] = []
        for image in pictures(store, rows):
            uri = _uri(image)
            if len(uri) > self._left:
                self.num_left_out += 1
                found.append(None)
            else:
                self._left -= len(uri)
                found.append(uri)
        return found


def _uri(image: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 RGB as the data URI of a JPEG."""
    scale = SIDE / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
