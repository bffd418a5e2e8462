"""What several passes of a network say of rows or windows of a store: how uncertain they are, and their mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.evaluation.uncertainty import MEASURES, TOTAL, uncertainty
from abaw_ray.inference.dropout_passes import DropoutPasses
from abaw_ray.inference.features import FeatureSource
from abaw_ray.inference.predict import (
    Predictions,
    Progress,
    decoded_logits,
    decoded_widths,
    in_batches,
    require_numbers,
)
from abaw_ray.inference.samples import FrameSamples
from abaw_ray.models.sets import FrameNetwork, Network
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.tasks.base import Task
from abaw_ray.teachers.ensemble import mean_logits
from abaw_ray.world import World, autocast_dtype

Said = list[dict[str, torch.Tensor]]
"""Of each member: task -> logits (batch, outputs)."""


def measure_key(task: str, measure: str) -> str:
    """Name of an uncertainty among `Predictions`."""
    return f"{task}:{measure}"


def predict_members(
    network: Network,
    passes: DropoutPasses | None,
    tasks: Mapping[str, Task],
    store: Store,
    source: FeatureSource | None,
    items: np.ndarray,
    recipe: Recipe,
    world: World,
    progress: Progress | None = None,
) -> Predictions:
    """Uncertainties of a network, and the mean of its passes, for the evaluation view.

    Args:
        network: on the worker's device; it is put into evaluation mode.
        passes: of it; None: it is asked as it is, once.
        tasks: the network's.
        store: where the rows are.
        source: of a temporal network: where its features come from.
        items: rows (k,) of the store, or of a temporal network windows (k, frames) of them.
        recipe: zoom, batch size and precision.
        world: this worker.
        progress: shows how far it is.

    Raises:
        DivergedError: it gives no numbers.

    Returns:
        `<task>:<measure>` -> (n, groups) as `uncertainty.uncertainty`, of n = items.size frames, and the mean of the
        passes as `Predictions`.
    """
    network.eval()
    dtype = autocast_dtype(world.device, recipe.train)

    def of_rows(part: np.ndarray) -> dict[str, torch.Tensor]:
        assert isinstance(network, FrameNetwork), "a network of frames"
        views = FrameSamples.read(store, network.streams, part).to(world.device).centre_views(recipe.augment)
        with torch.autocast(world.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            said = [network.of_streams(views)] if passes is None else passes.of_frames(views)
        return _read(tasks, said)

    def of_windows(part: np.ndarray) -> dict[str, torch.Tensor]:
        assert isinstance(network, TemporalNetwork), "a temporal network"
        assert source is not None, "features of its CNN"
        read = source.read(part, np.full(len(part), source.variants.centre))
        features = {t: torch.from_numpy(read[t]).to(world.device) for t in tasks}
        return _read(tasks, [network(features)] if passes is None else passes.of_windows(features))

    measures = MEASURES if passes is not None else (TOTAL,)
    widths = decoded_widths(tasks)
    widths |= {measure_key(name, measure): task.num_groups for name, task in tasks.items() for measure in measures}
    shape = items.shape[1:]
    size = max(1, recipe.train.evaluation_batch_size // int(np.prod(shape, initial=1)))
    predict = of_windows if shape else of_rows
    found = in_batches(predict, widths, items[world.shard(len(items))], len(items), size, world, progress, shape)
    of_frames = {name: values.reshape(-1, values.shape[-1]) for name, values in found.items()}
    require_numbers("uncertainties", of_frames, items.reshape(-1), store)
    return of_frames


def _read(tasks: Mapping[str, Task], said: Said) -> dict[str, torch.Tensor]:
    """Uncertainties, and predictions of the mean."""
    of_tasks = {name: [logits[name].float() for logits in said] for name in tasks}
    found = {
        measure_key(name, measure): values
        for name, task in tasks.items()
        for measure, values in uncertainty(task, of_tasks[name]).items()
    }
    means = {
        name: mean_logits(task, of_tasks[name]) if len(said) > 1 else of_tasks[name][0] for name, task in tasks.items()
    }
    return found | decoded_logits(tasks, means)
