"""From a store to the batches of one worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from abaw_ray.augmentation import NUM_UNIFORMS, random_views
from abaw_ray.blocks.reader import Store
from abaw_ray.config import AugmentConfig, Recipe
from abaw_ray.errors import StoreError
from abaw_ray.labels import TASKS, Split
from abaw_ray.objectives.terms import SetLabels
from abaw_ray.sampling.order import SampleOrder
from abaw_ray.sampling.weights import set_weights
from abaw_ray.training.prefetch import prefetch
from abaw_ray.world import World


@dataclass(frozen=True)
class SetBatch:
    """One source set's part of a step: images (batch, S, S, 3) uint8, uniforms (batch, NUM_UNIFORMS), labels."""

    images: Tensor
    uniforms: Tensor
    labels: SetLabels

    def pin_memory(self) -> SetBatch:
        return self._map(Tensor.pin_memory)

    def to(self, device: torch.device) -> SetBatch:
        return self._map(lambda t: t.to(device, non_blocking=True))

    def views(self, config: AugmentConfig) -> Tensor:
        """Augmented images (batch, 3, S, S) float32."""
        return random_views(self.images, self.uniforms, config).contiguous(memory_format=torch.channels_last)

    def _map(self, f: Callable[[Tensor], Tensor]) -> SetBatch:
        labels = {t: f(v) for t, v in self.labels.labels.items()}
        labelled = {t: f(v) for t, v in self.labels.labelled.items()}
        return SetBatch(f(self.images), f(self.uniforms), SetLabels(labels, labelled))


class TrainingData:
    """The training sets of a store and their order of samples.

    Attributes:
        tasks: the tasks that some set is made for, in the order of `labels.TASKS`.
        set_tasks: source set -> the tasks it is made for.
        order: which rows make up each step.

    Raises:
        StoreError: no training set, or no validation rows.
    """

    def __init__(self, store: Store, recipe: Recipe) -> None:
        self._store = store
        self._sets = {name: s for name, s in store.sets.items() if len(s.rows)}
        if not self._sets:
            raise StoreError(f"{store.path}: no rows in any training set")
        if not len(store.validation_rows()):
            raise StoreError(
                f"{store.path}: no validation rows to select a model with; prepare a database that has a validation"
                " split, or set validation_fraction for one of them"
            )
        self.set_tasks = {name: s.tasks for name, s in self._sets.items()}
        self.tasks = tuple(t for t in TASKS if any(t in tasks for tasks in self.set_tasks.values()))
        index = store.index
        weights = {
            name: set_weights(s.tasks, {t: index.labels[t][s.rows] for t in s.tasks}, recipe.sampling.joint_weights)
            for name, s in self._sets.items()
        }
        self.order = SampleOrder(
            weights, recipe.sampling.batch_size, recipe.seed, steps_per_epoch=recipe.sampling.steps_per_epoch
        )

    def batch(self, epoch: int, step: int, world: World) -> dict[str, SetBatch]:
        """This worker's part of a step, set by set."""
        batch = {}
        for name, samples in self.order.shard(epoch, step, world.rank, world.size, NUM_UNIFORMS).items():
            rows = self._sets[name].rows[samples.rows]
            uniforms = torch.from_numpy(samples.uniforms.astype(np.float32))
            batch[name] = SetBatch(torch.from_numpy(self._store.images(rows)), uniforms, self._labels(rows))
        return batch

    def epoch(self, epoch: int, world: World) -> Iterator[dict[str, SetBatch]]:
        """This worker's batches of an epoch, made ahead on a thread, pinned for a GPU."""

        def make(step: int) -> dict[str, SetBatch]:
            batch = self.batch(epoch, step, world)
            return {n: b.pin_memory() for n, b in batch.items()} if world.device.type == "cuda" else batch

        return prefetch(make, self.order.num_steps)

    def _labels(self, rows: np.ndarray) -> SetLabels:
        """Train labels of every task: the set's own, and those shared by another database or split of the frame."""
        index = self._store.index
        labels = {t: torch.from_numpy(index.labels[t][rows]) for t in self.tasks}
        labelled = {t: torch.from_numpy(index.splits[t][rows] == Split.TRAIN) for t in self.tasks}
        return SetLabels(labels, labelled)
