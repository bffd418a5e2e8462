"""From a store and features of its videos to the batches of one worker: windows of each task's labelled frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.teacher_outputs import TeacherOutputs
from abaw_ray.config import AugmentConfig, Recipe
from abaw_ray.errors import StoreError
from abaw_ray.evaluation.frames import gap_free
from abaw_ray.inference.features import FeatureSource
from abaw_ray.objectives.terms import SetLabels
from abaw_ray.sampling.order import ShuffledOrder
from abaw_ray.spaces import Split
from abaw_ray.tasks import build_tasks, targets
from abaw_ray.training.labels import TrainLabels
from abaw_ray.training.nuisances import TrainedNuisance
from abaw_ray.world import World


@dataclass(frozen=True)
class WindowBatch:
    """One set's windows of a step.

    Args:
        features: head that learns -> (windows, frames, width).
        labels: of all frames, window after window.
        taught: task -> the teacher's logits (windows * frames, outputs), where they were computed beforehand; else
            empty.
    """

    features: Mapping[str, Tensor]
    labels: SetLabels
    taught: Mapping[str, Tensor] = field(default_factory=dict)

    def prepared_for(self, device: torch.device, config: AugmentConfig) -> WindowBatch:
        """Pinned for a GPU."""
        return self.map(Tensor.pin_memory) if device.type == "cuda" else self

    def to(self, device: torch.device) -> WindowBatch:
        return self.map(lambda t: t.to(device, non_blocking=True))

    def inputs(self, config: AugmentConfig) -> Mapping[str, Tensor]:
        """The features; they are of augmented images already."""
        return self.features

    def map(self, f: Callable[[Tensor], Tensor]) -> WindowBatch:
        """With `f` of every tensor."""
        taught = {t: f(v) for t, v in self.taught.items()}
        return WindowBatch({t: f(v) for t, v in self.features.items()}, self.labels.map(f), taught)


class WindowData:
    """The windows of every task, one source set a task, and their order: no balancing, as the reference.

    Args:
        store: whose videos the windows are cut from.
        source: of the frames' features.
        names: the tasks of the CNN; those without a train label in the videos are left out.
        recipe: windows, order of samples.
        distils: whether every head learns from every set, or each from its own.
        outputs: the teacher's, if they were computed beforehand.

    Attributes:
        set_tasks, tasks, order, images_per_step, labels: as of `TrainingData`; images are frames here.
        num_unlabelled: source set -> frames of its windows that none of the annotators of `loss.label_sets` labelled.
        num_without_streams: source set -> frames with a train label and without a face.
        lacking: as of `TrainingData`; none.
        nuisances: none, as the heads share no features.

    Raises:
        ConfigurationError: outputs that do not fit, or label sets that there are not.
        StoreError: no task has a train label, or one has labels and no window without a gap.
    """

    def __init__(
        self,
        store: Store,
        source: FeatureSource,
        names: tuple[str, ...],
        recipe: Recipe,
        distils: bool,
        outputs: TeacherOutputs | None = None,
    ) -> None:
        self._source, self._distils, self._outputs = source, distils, outputs
        self.nuisances: dict[str, TrainedNuisance] = {}
        config = recipe.temporal
        self._windows: dict[str, np.ndarray] = {}
        self.set_tasks: dict[str, tuple[str, ...]] = {}
        codes = [store.databases.index(d) for d in config.databases if d in store.databases]
        self.num_without_streams: dict[str, int] = {}
        self.lacking: dict[str, int] = {}
        for name in (name for name in names if name in store.spaces):
            rows = store.rows_with(name, Split.TRAIN)
            of_databases = rows[np.isin(store.index.database[rows], codes)]
            trains = store.index.has_face[of_databases]
            if not trains.any():
                continue
            self.num_without_streams[f"{name}_windows"] = len(trains) - int(trains.sum())
            windows = gap_free(store, name, Split.TRAIN, config.window, config.window // 2, config.databases)
            if not len(windows):
                raise StoreError(
                    f"{store.path}: {int(trains.sum())} frames with a train label of {name} in"
                    f" {', '.join(config.databases)}, but no {config.window} consecutive ones;"
                    " make temporal.window smaller"
                )
            self._windows[f"{name}_windows"] = windows
            self.set_tasks[f"{name}_windows"] = (name,)
        if not self._windows:
            raise StoreError(f"{store.path}: no train labels of {', '.join(names)} in {', '.join(config.databases)}")
        spaces = [store.spaces[task] for (task,) in self.set_tasks.values()]
        self.labels = TrainLabels(store, recipe.loss.label_sets, [space.name for space in spaces])
        self.num_unlabelled = {
            name: int((~self.labels.has(task, np.unique(self._windows[name]))).sum())
            for name, (task,) in self.set_tasks.items()
        }

        def labels(task: str) -> np.ndarray:
            rows = self._windows[f"{task}_windows"].reshape(-1)
            return self.labels.vectors(task, rows[self.labels.has(task, rows)])

        options = {space.name: recipe.tasks[space.name] for space in spaces if space.name in recipe.tasks}
        self.tasks = build_tasks(spaces, recipe.loss, recipe.model, labels, options)
        sizes = {name: len(windows) for name, windows in self._windows.items()}
        self.order = ShuffledOrder(sizes, config.batch_size, recipe.seed)
        if outputs is not None:
            outputs.require(targets(self.tasks), [], outputs.manifest.augment, recipe.train.precision)
        self.images_per_step = config.batch_size * config.window * len(sizes)

    def verify(self) -> None:
        """As of `TrainingData`."""
        rows = np.concatenate([windows.reshape(-1) for windows in self._windows.values()])
        self._source.verify(rows)
        if self._outputs is not None:
            self._outputs.verify(rows)

    def blocks(self, epoch: int, world: World) -> None:
        """Every node has all features."""

    def rows(self, epoch: int, step: int, world: World) -> dict[str, np.ndarray]:
        """Rows (n,) of the store in this worker's part of a step, window after window, task by task."""
        shard = self.order.shard(epoch, step, world.rank, world.size, num_uniforms=1)
        return {name: self._windows[name][samples.rows].reshape(-1) for name, samples in shard.items()}

    def batch(self, epoch: int, step: int, world: World) -> dict[str, WindowBatch]:
        """This worker's part of a step, task by task."""
        batch = {}
        for name, samples in self.order.shard(epoch, step, world.rank, world.size, num_uniforms=1).items():
            rows = self._windows[name][samples.rows]
            features = self._source.read(rows, self._source.choose(samples.uniforms[:, 0]))
            heads = self.tasks if self._distils else self.set_tasks[name]
            frames = rows.reshape(-1)
            known = self._outputs.read(frames, np.zeros(len(frames), np.int64)) if self._outputs is not None else {}
            batch[name] = WindowBatch(
                {t: torch.from_numpy(features[t]) for t in heads},
                self.labels.of(frames, self.tasks),
                {t: torch.from_numpy(known[t]) for t in self.tasks if t in known},
            )
        return batch
