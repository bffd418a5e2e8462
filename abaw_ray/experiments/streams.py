"""What experiments with streams share: networks of some of them, and stores of which one is changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.storage import AnyPath


def with_streams(recipe: Recipe, streams: Sequence[str], seed: int) -> Recipe:
    """The recipe of a network of some streams, trained for all epochs.

    Raises:
        ConfigurationError: the recipe has no encoder of one of them.
    """
    lacking = [name for name in streams if name not in recipe.model.encoders]
    if lacking:
        raise ConfigurationError(f"model.encoders: found none of {', '.join(lacking)}, expected one of each stream")
    encoders = {name: recipe.model.encoders[name] for name in streams}
    train = recipe.train.model_copy(update={"patience": recipe.train.epochs})
    changed = {"model": recipe.model.model_copy(update={"encoders": encoders}), "train": train, "seed": seed}
    return recipe.model_copy(update=changed)


class ChangedStream(Store):
    """A store with another stream, to see whether a network makes use of it.

    Args:
        path: of the store.
        stream: its name.
        change: `other`, of another row that has any; `missing`; `zeros`; empty: as it is.
    """

    def __init__(self, path: AnyPath | str, stream: str, change: str) -> None:
        super().__init__(path)
        self._stream, self._change = stream, change
        if change:
            own = self.streams[stream].rows
            self._other = np.arange(len(self.index))
            self._other[own] = np.random.default_rng(0).permutation(own)

    def samples(self, stream: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if stream != self._stream or not self._change:
            return super().samples(stream, rows)
        found, present = super().samples(stream, self._other[rows] if self._change == "other" else rows)
        if self._change == "other":
            return found, present
        return np.zeros_like(found), present & (self._change != "missing")
