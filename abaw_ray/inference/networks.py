"""Checkpoints opened to predict for a store."""

from __future__ import annotations

from collections.abc import Sequence

from abaw_ray.blocks.features import FeatureStore
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.features import ComputedFeatures, FeatureSource, RememberedFeatures, joined
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.frozen_cnns import as_noted
from abaw_ray.models.sets import Network
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.storage import AnyPath
from abaw_ray.world import local_device


def open_network(
    trained: Checkpoint, store: Store, recipe: Recipe, features: Sequence[AnyPath]
) -> tuple[Network, FeatureSource | None]:
    """A checkpoint's network, and for a temporal one where its features come from.

    Args:
        trained: the checkpoint.
        store: to predict for.
        recipe: zoom, batch size and precision.
        features: feature stores of the network's CNNs, in their order; none: computes features from images.

    Raises:
        ConfigurationError: features for a CNN, of other CNNs, or in another order.
        MissingInputError, StoreError: no such feature store, or one of another store.
    """
    network = trained.network(local_device())
    if isinstance(network, TemporalNetwork):
        if not features:
            return network, RememberedFeatures(ComputedFeatures(store, network.cnn, recipe), len(store.index))
        sources = [FeatureStore(path, store) for path in features]
        _require_cnns(trained, sources)
        return network, joined(sources)
    if features:
        raise ConfigurationError(f"--features: {trained.path} is a CNN, which takes images")
    return network, None


def _require_cnns(trained: Checkpoint, sources: Sequence[FeatureStore]) -> None:
    """Checks that features are of the CNNs that a temporal network goes on from, in their order."""
    expected, found = trained.description.cnn_sha256, [source.manifest.cnn_sha256 for source in sources]
    if as_noted(found) == expected:
        return
    cnns = (expected,) if isinstance(expected, str) else expected or ()
    given = ", ".join(f"{source.path} of the CNN {sha256[:12]}" for source, sha256 in zip(sources, found, strict=True))
    order = " in this order" if len(cnns) > 1 else ""
    raise ConfigurationError(
        f"--features: found {given}; {trained.path} goes on from {', '.join(sha256[:12] for sha256 in cnns)},"
        f" expected features of {len(cnns)}{order}"
    )
