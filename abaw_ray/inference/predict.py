"""A network's predictions for frames of a store, computed by all workers together and given to each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import DivergedError
from abaw_ray.inference.features import FeatureSource
from abaw_ray.inference.model_info import DEVIATION
from abaw_ray.inference.samples import FrameSamples
from abaw_ray.models.sets import FrameNetwork
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.tasks.base import Task
from abaw_ray.world import World, autocast_dtype

Progress = Callable[[int, int], None]
"""Called with the number done and the number in all, of this worker."""

Predictions = dict[str, np.ndarray]
"""Task -> (n, label size) float32; of a regression `<task>:deviation`, too: how far off it expects to be."""


def predict_rows(
    network: FrameNetwork,
    tasks: Mapping[str, Task],
    store: Store,
    rows: np.ndarray,
    recipe: Recipe,
    world: World,
    progress: Progress | None = None,
    view: int = 0,
) -> Predictions:
    """Predictions of a network of frames for an evaluation view of `rows` (n,) of the store.

    Args:
        network: on the worker's device; it is put into evaluation mode.
        tasks: the network's.
        store: where the rows are.
        rows: (n,) rows of the index.
        recipe: zoom, batch size and precision.
        world: this worker.
        progress: shows how far it is.
        view: number of the view, as of `augmentation.evaluation_views`; 0 is the centre.
    """
    mine = rows[world.shard(len(rows))]
    dtype = autocast_dtype(world.device, recipe.train)
    network.eval()

    def predict(part: np.ndarray) -> dict[str, torch.Tensor]:
        views = FrameSamples.read(store, network.streams, part).to(world.device).evaluation_views(view, recipe.augment)
        with torch.autocast(world.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            logits = network.of_streams(views)
        return decoded_logits(tasks, logits)

    return in_batches(
        predict, decoded_widths(tasks), mine, len(rows), recipe.train.evaluation_batch_size, world, progress
    )


def predict_windows(
    network: TemporalNetwork,
    tasks: Mapping[str, Task],
    source: FeatureSource,
    windows: np.ndarray,
    recipe: Recipe,
    world: World,
    progress: Progress | None = None,
    decoded: bool = True,
) -> Predictions:
    """A temporal network's predictions for the evaluation view of windows.

    Args:
        network: on the worker's device; it is put into evaluation mode.
        tasks: whose predictions are wanted.
        source: features of the CNN that the network goes on from.
        windows: (windows, frames) rows of the store's index.
        recipe: batch size.
        world: this worker.
        progress: shows how far it is, in windows.
        decoded: False gives logits.

    Returns:
        Task -> (windows, frames, label size) float32, and deviations, as `Predictions`; or (windows, frames, outputs).
    """
    mine = windows[world.shard(len(windows))]
    length = windows.shape[1]
    network.eval()

    def predict(part: np.ndarray) -> dict[str, torch.Tensor]:
        read = source.read(part, np.full(len(part), source.variants.centre))
        logits = network({t: torch.from_numpy(read[t]).to(world.device) for t in tasks})
        return decoded_logits(tasks, logits) if decoded else logits

    batch = max(1, recipe.train.evaluation_batch_size // length)
    widths = decoded_widths(tasks) if decoded else {name: task.num_outputs for name, task in tasks.items()}
    return in_batches(predict, widths, mine, len(windows), batch, world, progress, (length,))


def share_of(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Shows how far one of `count` predictions of the same frames is, made one after the other, as a part of all."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, count * total)


def decoded_widths(tasks: Mapping[str, Task]) -> dict[str, int]:
    """Numbers of a row in each of the `Predictions` of tasks."""
    widths = {name: task.space.size for name, task in tasks.items()}
    return widths | {f"{name}{DEVIATION}": widths[name] for name, task in tasks.items() if is_regression(task)}


def is_regression(task: Task) -> bool:
    """Whether a deviation stands beside the task's predictions."""
    return task.space.kind == "regression"


def require_numbers(what: str, values: Mapping[str, np.ndarray], rows: np.ndarray, store: Store) -> None:
    """That a network has given numbers: frames without one would have to be left out of scores, which can raise them.

    Args:
        what: the network gave, in the plural.
        values: task -> (n, size).
        rows: (n,) rows of the store that they are of.
        store: where the rows are.

    Raises:
        DivergedError: it has not; the message names the task and the first frame.
    """
    for task, of_task in values.items():
        wrong = np.flatnonzero(~np.isfinite(of_task).all(axis=1))
        if len(wrong):
            ((database, video, frame),) = store.frames_of(rows[wrong[:1]])
            raise DivergedError(
                f"{task}: {len(wrong)} of {len(rows)} {what} are no numbers, the first of {database}, video {video},"
                f" frame {frame}: the network has diverged; take an earlier checkpoint, or train it with a lower"
                " train.learning_rate"
            )


def decoded_logits(tasks: Mapping[str, Task], logits: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What logits (batch, outputs) of tasks say, with the names and widths of `decoded_widths`."""
    decoded = {name: task.decode(logits[name]) for name, task in tasks.items()}
    for name, task in tasks.items():
        if is_regression(task):
            deviation = task.deviation(logits[name])
            assert deviation is not None, f"{name}: a regression without deviations"
            decoded[f"{name}{DEVIATION}"] = deviation
    return decoded


def in_batches(
    predict: Callable[[np.ndarray], dict[str, torch.Tensor]],
    widths: Mapping[str, int],
    mine: np.ndarray,
    total: int,
    batch_size: int,
    world: World,
    progress: Progress | None,
    shape: tuple[int, ...] = (),
) -> Predictions:
    """What is predicted for this worker's items, put together with all workers'.

    Args:
        predict: gives of some items (batch, ...) name -> (batch, *shape, width), the shape flattened or not.
        widths: name -> width.
        mine: (n, ...) this worker's items.
        total: number of all workers' items.
        batch_size: items that are predicted together.
        world: this worker.
        progress: shows how far it is.
        shape: of what is said of one item.

    Returns:
        Name -> (total, *shape, width) float32, on every worker.
    """
    outputs: dict[str, list[torch.Tensor]] = {
        name: [torch.empty((0, *shape, width), device=world.device)] for name, width in widths.items()
    }
    for start in range(0, len(mine), batch_size):
        part = mine[start : start + batch_size]
        with torch.inference_mode():
            for name, values in predict(part).items():
                outputs[name].append(values.reshape(len(part), *shape, -1))
        if progress is not None:
            progress(start + len(part), len(mine))
    return {t: world.gather(torch.cat(parts), total).cpu().numpy() for t, parts in outputs.items()}
