"""A network's predictions for rows of a store."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import torch

from abaw_ray.augmentation import centre_views
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.evaluation.predictions import prediction_table
from abaw_ray.labels import TASKS, Split
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.tasks import build_tasks
from abaw_ray.world import World, autocast_dtype


def predict_rows(
    network: MultiTaskCNN,
    store: Store,
    rows: np.ndarray,
    recipe: Recipe,
    world: World,
    progress: Callable[[int, int], None] | None = None,
    split: Split = Split.VALIDATION,
) -> pa.Table:
    """Predictions for `rows`, computed by all workers together and given to each of them.

    Args:
        network: on the worker's device; it is put into evaluation mode.
        store: where the rows are.
        rows: (n,) rows of the index.
        recipe: zoom, batch size and precision.
        world: this worker.
        progress: called with rows done and rows in all, of this worker.
        split: labels of this split become the true labels beside the predictions.

    Returns:
        See `predictions.prediction_table`. A task the network does not have is NaN throughout.
    """
    tasks = build_tasks(network.heads, recipe.loss, recipe.model)
    mine = rows[world.shard(len(rows))]
    outputs: dict[str, list[torch.Tensor]] = {t: [] for t in tasks}
    dtype = autocast_dtype(world.device, recipe.train)
    network.eval()
    for start in range(0, len(mine), recipe.train.evaluation_batch_size):
        part = mine[start : start + recipe.train.evaluation_batch_size]
        images = torch.from_numpy(store.images(part)).to(world.device)
        views = centre_views(images, recipe.augment).contiguous(memory_format=torch.channels_last)
        with (
            torch.inference_mode(),
            torch.autocast(world.device.type, dtype or torch.bfloat16, enabled=dtype is not None),
        ):
            logits = network(views)
        for name, task in tasks.items():
            outputs[name].append(task.decode(logits[name]))
        if progress is not None:
            progress(start + len(part), len(mine))
    predicted = {}
    for name, size in TASKS.items():
        values = torch.full((len(mine), size), torch.nan, device=world.device)
        if outputs.get(name):
            values = torch.cat(outputs[name])
        predicted[name] = world.gather(values, len(rows)).cpu().numpy()
    return _table(store, rows, predicted, split)


def _table(store: Store, rows: np.ndarray, predicted: dict[str, np.ndarray], split: Split) -> pa.Table:
    index = store.index
    has_expression = index.splits["expression"][rows] == split
    has_va = index.splits["valence_arousal"][rows] == split
    classes = index.labels["expression"][rows].argmax(1)
    return prediction_table(
        database=[store.databases[d] for d in index.database[rows]],
        video=index.video(rows),
        frame=index.frame[rows],
        expression=np.where(has_expression, classes, -1),
        probabilities=predicted["expression"],
        valence_arousal=np.where(has_va[:, None], index.labels["valence_arousal"][rows], np.nan),
        predicted_valence_arousal=predicted["valence_arousal"],
    )
