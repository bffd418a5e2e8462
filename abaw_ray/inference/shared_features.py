"""What all heads of a network take, for rows of a store."""

from __future__ import annotations

import numpy as np
import torch

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.predict import Progress, in_batches
from abaw_ray.inference.samples import FrameSamples
from abaw_ray.models.sets import FrameNetwork
from abaw_ray.world import World, autocast_dtype


def shared_features(
    network: FrameNetwork,
    store: Store,
    rows: np.ndarray,
    recipe: Recipe,
    world: World,
    progress: Progress | None = None,
) -> np.ndarray:
    """Features (n, shared_width) float32 of the evaluation view of `rows` (n,) of the store, on every worker.

    Args:
        network: on the worker's device; it is put into evaluation mode.
        store: where the rows are.
        rows: of its index.
        recipe: zoom, batch size and precision.
        world: this worker.
        progress: shows how far it is.

    Raises:
        ConfigurationError: the network's heads share no features.
    """
    width = network.shared_width
    if width is None:
        raise ConfigurationError("the heads of this network share no features")
    dtype = autocast_dtype(world.device, recipe.train)
    network.eval()

    def features(part: np.ndarray) -> dict[str, torch.Tensor]:
        views = FrameSamples.read(store, network.streams, part).to(world.device).centre_views(recipe.augment)
        with torch.autocast(world.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            return {"": network.forward_sets({"": views}).shared[""].float()}

    mine = rows[world.shard(len(rows))]
    return in_batches(features, {"": width}, mine, len(rows), recipe.train.evaluation_batch_size, world, progress)[""]
