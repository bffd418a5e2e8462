"""The distributions behind a network's predictions for rows or windows of a store, or behind several passes of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.evaluation.uncertainty import Mixture, mean_distribution
from abaw_ray.inference.dropout_passes import DropoutPasses
from abaw_ray.inference.features import FeatureSource
from abaw_ray.inference.predict import Predictions, Progress, decoded_logits, in_batches, require_numbers
from abaw_ray.inference.samples import FrameSamples
from abaw_ray.models.sets import FrameNetwork, Network
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.tasks.base import Task
from abaw_ray.world import World, autocast_dtype

P, ENTROPY = "p", "entropy"


def predict_distributions(
    network: Network,
    passes: DropoutPasses | None,
    tasks: Mapping[str, Task],
    store: Store,
    source: FeatureSource | None,
    items: np.ndarray,
    recipe: Recipe,
    world: World,
    progress: Progress | None = None,
) -> dict[str, Mixture]:
    """What a network says, or its passes together, of the centre view.

    Args:
        network: on the worker's device; it is put into evaluation mode.
        passes: of it; None: it is asked as it is, once.
        tasks: whose predictions are wanted.
        store: where the rows are.
        source: of a temporal network: where its features come from.
        items: rows (k,) of the store, or of a temporal network windows (k, frames) of them.
        recipe: zoom, batch size and precision.
        world: this worker.
        progress: shows how far it is.

    Returns:
        Task -> mixture of n = items.size frames.

    Raises:
        DivergedError: it gives no numbers.
    """
    network.eval()
    dtype = autocast_dtype(world.device, recipe.train)

    def of_rows(part: np.ndarray) -> dict[str, torch.Tensor]:
        assert isinstance(network, FrameNetwork), "a network of frames"
        views = FrameSamples.read(store, network.streams, part).to(world.device).centre_views(recipe.augment)
        with torch.autocast(world.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            return _read(tasks, [network.of_streams(views)] if passes is None else passes.of_frames(views))

    def of_windows(part: np.ndarray) -> dict[str, torch.Tensor]:
        assert isinstance(network, TemporalNetwork), "a temporal network"
        assert source is not None, "features of its CNN"
        read = source.read(part, np.full(len(part), source.variants.centre))
        features = {t: torch.from_numpy(read[t]).to(world.device) for t in tasks}
        return _read(tasks, [network(features)] if passes is None else passes.of_windows(features))

    shape, sizes = items.shape[1:], {name: task.num_outputs for name, task in tasks.items()}
    with torch.inference_mode():
        shapes = {n: mean_distribution(tasks[n], [torch.zeros(1, k)])[0].shape[1:] for n, k in sizes.items()}
    widths = {f"{name}:{P}": of.numel() for name, of in shapes.items()}
    widths |= {f"{name}:{ENTROPY}": of[0] for name, of in shapes.items()}
    size = max(1, recipe.train.evaluation_batch_size // int(np.prod(shape, initial=1)))
    predict = of_windows if shape else of_rows
    found = in_batches(predict, widths, items[world.shard(len(items))], len(items), size, world, progress, shape)
    of_frames = {name: values.reshape(items.size, -1) for name, values in found.items()}
    require_numbers("distributions", of_frames, items.reshape(-1), store)
    num_members = passes.num_passes if passes is not None else 1
    return {
        name: Mixture(of_frames[f"{name}:{P}"].reshape(-1, *of), of_frames[f"{name}:{ENTROPY}"], num_members)
        for name, of in shapes.items()
    }


def decoded_mixtures(tasks: Mapping[str, Task], mixtures: Mapping[str, Mixture]) -> Predictions:
    """Predictions of the members' mean, of n frames: see `Predictions`."""
    least = float(np.finfo(np.float32).tiny)
    logits = {name: tasks[name].logits_of(torch.from_numpy(m.p).clamp(min=least).log()) for name, m in mixtures.items()}
    return {name: values.numpy() for name, values in decoded_logits(tasks, logits).items()}


def _read(tasks: Mapping[str, Task], said: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name, task in tasks.items():
        p, entropy = mean_distribution(task, [logits[name] for logits in said])
        found |= {f"{name}:{P}": p.flatten(1), f"{name}:{ENTROPY}": entropy}
    return found
