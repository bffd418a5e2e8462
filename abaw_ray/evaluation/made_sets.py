"""Images that are no longer what a network was trained on, made from those of a store: a test of what it notices.

Each image is changed by itself, with random numbers of its own that depend on what it is of, wherever in a store it is:
the same in any order, in batches of any size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from abaw_ray.blocks.reader import Store
from abaw_ray.streams.base import FACE
from abaw_ray.streams.image import ImageKind

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""An image (size, size, 3) uint8, and where random numbers come from -> the image that is shown instead."""


def pixel_shuffled(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image's pixels in random places: its colours, and nothing else of it."""
    return rng.permutation(image.reshape(-1, 3)).reshape(image.shape)


def noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random values from 0 to 255, each independent of all others."""
    return rng.integers(0, 256, image.shape, np.uint8)


def upside_down(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image turned by half a turn."""
    return image[::-1, ::-1]


CHANGES: dict[str, Change] = {"pixel_shuffled": pixel_shuffled, "noise": noise, "upside_down": upside_down}


class ChangedStore(Store):
    """A store whose images are changed, those of faces and of all other streams of images; all else is as it is.

    Args:
        store: an open one.
        change: of each image.
        seed: of the random numbers.
    """

    def __init__(self, store: Store, change: Change, seed: int) -> None:
        vars(self).update(vars(store))
        self._change, self._seed = change, seed

    def images(self, rows: np.ndarray) -> np.ndarray:
        return self._changed(super().images(rows), rows)

    def samples(self, stream: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        samples, there = super().samples(stream, rows)
        if stream != FACE and isinstance(self.kind_of(stream), ImageKind):
            samples = self._changed(samples, rows)
        return samples, there

    def _changed(self, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        seeds = self.image_ids(rows).tolist()
        made = [self._change(i, np.random.default_rng([self._seed, s])) for i, s in zip(images, seeds, strict=True)]
        return np.stack(made) if made else images
