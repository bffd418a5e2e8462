"""What people are shown of rows of a store."""

from __future__ import annotations

import cv2
import numpy as np

from abaw_ray.blocks.reader import Store
from abaw_ray.streams.image import ImageKind


def pictures(store: Store, rows: np.ndarray) -> np.ndarray:
    """A picture (n, size, size, 3) uint8 RGB of each of `rows` (n,): its face, or else the first of its other images.

    It is black where a row has none.

    Raises:
        StoreError: a block of the store is missing or damaged.
    """
    shown = store.images(rows)
    missing = np.flatnonzero(~store.index.has_face[rows])
    for stream in store.streams:
        if not len(missing) or not isinstance(store.kind_of(stream), ImageKind):
            continue
        images, there = store.samples(stream, rows[missing])
        for place, image in zip(missing[there], images[there], strict=True):
            shown[place] = cv2.resize(image, (store.image_size, store.image_size), interpolation=cv2.INTER_AREA)
        missing = missing[~there]
    return shown
