"""Checkpoints opened to predict for a store."""

from __future__ import annotations

from abaw_ray.blocks.features import FeatureStore
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.features import ComputedFeatures, FeatureSource, RememberedFeatures
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.sets import Network
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.storage import AnyPath
from abaw_ray.world import local_device


def open_network(
    trained: Checkpoint, store: Store, recipe: Recipe, features: AnyPath | None
) -> tuple[Network, FeatureSource | None]:
    """A checkpoint's network, and for a temporal one where its features come from.

    Args:
        trained: the checkpoint.
        store: to predict for.
        recipe: zoom, batch size and precision.
        features: a feature store; None computes features from images.

    Raises:
        ConfigurationError: features for a CNN, or of another CNN.
        MissingInputError, StoreError: no such feature store, or one of another store.
    """
    network = trained.network(local_device())
    if isinstance(network, TemporalNetwork):
        if features is None:
            return network, RememberedFeatures(ComputedFeatures(store, network.cnn, recipe), len(store.index))
        source = FeatureStore(features, store)
        if source.manifest.cnn_sha256 != trained.description.cnn_sha256:
            raise ConfigurationError(
                f"{features}: features of another CNN than the one that {trained.path} goes on from"
            )
        return network, source
    if features is not None:
        raise ConfigurationError(f"--features: {trained.path} is a CNN, which takes images")
    return network, None
