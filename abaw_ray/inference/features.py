"""Features of windows, computed by the CNN; `blocks.features` reads those that were computed before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from abaw_ray.augmentation import Variants, evaluation_views, variant_views, window_variants
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.world import autocast_dtype


class FeatureSource(Protocol):
    """Where the features of windows come from: `FeatureStore` or `ComputedFeatures`."""

    variants: Variants

    def choose(self, v: np.ndarray) -> np.ndarray:
        """The variant of each training window from its random number (windows,) in [0, 1)."""
        ...

    def read(self, rows: np.ndarray, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """Task -> features (windows, frames, width) of `rows` (windows, frames) as the variants (windows,)."""
        ...

    def of_view(self, number: int) -> FeatureSource:
        """The features of an evaluation view in the place of the centre (see `augmentation.evaluation_views`).

        Raises:
            ConfigurationError: there are those of the centre alone.
        """
        ...

    def verify(self, rows: np.ndarray) -> None:
        """Recomputes the hashes of the files that features of `rows` (n,) are read or computed from.

        Raises:
            StoreError: one is damaged.
        """
        ...


class ComputedFeatures:
    """Features computed from the images of a store, each time anew.

    Args:
        store: where the images are.
        cnn: on its device, in evaluation mode.
        recipe: zoom and flip, precision, and images in a batch.
        view: number of the evaluation view; of others than the centre (0) there are no variants.
    """

    def __init__(self, store: Store, cnn: MultiTaskCNN, recipe: Recipe, view: int = 0) -> None:
        self._store, self._cnn, self._recipe, self._view = store, cnn, recipe, view
        self.variants = window_variants(store.image_size, recipe.augment)

    def choose(self, v: np.ndarray) -> np.ndarray:
        return self.variants.of(v)

    def read(self, rows: np.ndarray, chosen: np.ndarray) -> dict[str, np.ndarray]:
        flat, variant = rows.reshape(-1), np.repeat(chosen, rows.shape[1])
        size = self._recipe.train.evaluation_batch_size
        parts = []
        for start in range(0, len(flat), size):
            images = self._store.images(flat[start : start + size])
            parts.append(self._of_images(images, variant[start : start + size]))
        return {t: np.concatenate([p[t] for p in parts]).reshape(*rows.shape, -1) for t in parts[0]}

    def of_view(self, number: int) -> ComputedFeatures:
        return ComputedFeatures(self._store, self._cnn, self._recipe, number)

    def _of_images(self, images: np.ndarray, variant: np.ndarray) -> dict[str, np.ndarray]:
        if self._view == 0:
            return view_features(self._cnn, images, self.variants, variant, self._recipe)
        assert (variant == self.variants.centre).all(), "of an evaluation view there are no variants"
        return _features(
            self._cnn, images, lambda faces: evaluation_views(faces, self._view, self._recipe.augment), self._recipe
        )

    def verify(self, rows: np.ndarray) -> None:
        self._store.verify(rows)


class RememberedFeatures:
    """Features of the evaluation view, computed once for each row: windows share frames, and tasks share windows.

    Args:
        source: that computes them.
        num_rows: of the store; memory is used for those that were read.
    """

    def __init__(self, source: ComputedFeatures, num_rows: int) -> None:
        self.variants = source.variants
        self._source = source
        self._known = np.zeros(num_rows, bool)
        self._features: dict[str, np.ndarray] = {}

    def choose(self, v: np.ndarray) -> np.ndarray:
        return np.full(len(v), self.variants.centre)

    def read(self, rows: np.ndarray, chosen: np.ndarray) -> dict[str, np.ndarray]:
        assert (chosen == self.variants.centre).all(), "only the evaluation view is remembered"
        new = np.unique(rows[~self._known[rows]])
        if len(new):
            for task, values in self._source.read(new[:, None], np.full(len(new), self.variants.centre)).items():
                kept = self._features.setdefault(task, np.empty((len(self._known), values.shape[-1]), np.float32))
                kept[new] = values[:, 0]
            self._known[new] = True
        return {task: kept[rows] for task, kept in self._features.items()}

    def of_view(self, number: int) -> RememberedFeatures:
        return self if number == 0 else RememberedFeatures(self._source.of_view(number), len(self._known))

    def verify(self, rows: np.ndarray) -> None:
        self._source.verify(rows)


def view_features(
    cnn: MultiTaskCNN, images: np.ndarray, variants: Variants, chosen: np.ndarray, recipe: Recipe
) -> dict[str, np.ndarray]:
    """Task -> features (n, width) float32 of images (n, size, size, 3) uint8 as the variants `chosen` (n,)."""
    return _features(cnn, images, lambda faces: variant_views(faces, variants, chosen, recipe.augment), recipe)


def _features(
    cnn: MultiTaskCNN, images: np.ndarray, views_of: Callable[[Tensor], Tensor], recipe: Recipe
) -> dict[str, np.ndarray]:
    device = cnn.mean.device
    dtype = autocast_dtype(device, recipe.train)
    with torch.inference_mode(), torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None):
        views = views_of(torch.from_numpy(images).to(device))
        features = cnn.task_features(views.contiguous(memory_format=torch.channels_last))
    return {task: values.cpu().numpy() for task, values in features.items()}
