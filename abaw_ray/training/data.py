"""From a store to the batches of one worker: samples of each training set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from abaw_ray.augmentation import fixed_uniforms
from abaw_ray.augmentation.draws import num_uniforms
from abaw_ray.augmentation.mixing import Mixing, draw_mixing
from abaw_ray.blocks.reader import SourceSet, Store
from abaw_ray.blocks.teacher_outputs import TeacherOutputs
from abaw_ray.config import AugmentConfig, Recipe
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.inference.samples import FrameSamples
from abaw_ray.models.sets import Streams
from abaw_ray.objectives.terms import AnnotatorLabels, SetLabels
from abaw_ray.sampling.order import SampleOrder, Samples
from abaw_ray.sampling.partition import Partition, SetRows, Share
from abaw_ray.spaces import Kind
from abaw_ray.streams.base import FACE
from abaw_ray.tasks import build_tasks, targets
from abaw_ray.training.balance import require_balance, set_balance, set_balance_groups
from abaw_ray.training.labels import TrainLabels
from abaw_ray.training.nuisances import nuisance_labels, trained_nuisances, without_nuisances
from abaw_ray.world import World


@dataclass(frozen=True)
class SetBatch:
    """One source set's part of a step.

    Args:
        samples: as the store keeps them, or their views.
        uniforms: (batch, `num_uniforms`) that the views are made from; None: they are made.
        labels: of the samples, mixed if they are.
        taught: task -> the teacher's logits (batch, outputs), where they were computed beforehand; else empty.
        mixing: how the views are to be mixed; None: not at all, or they are.
    """

    samples: FrameSamples
    uniforms: Tensor | None
    labels: SetLabels
    taught: Mapping[str, Tensor] = field(default_factory=dict)
    mixing: Mixing | None = None

    def prepared_for(self, device: torch.device, config: AugmentConfig) -> SetBatch:
        """As far as it can be made before `device` is free: pinned for a GPU, which makes views itself, or as views."""
        if device.type == "cuda":
            return self.map(Tensor.pin_memory)
        views = replace(self.samples, kept=self.inputs(config).streams)
        return replace(self, samples=views, uniforms=None, mixing=None)

    def to(self, device: torch.device) -> SetBatch:
        return self.map(lambda t: t.to(device, non_blocking=True))

    def inputs(self, config: AugmentConfig) -> Streams:
        """Augmented samples; images (batch, 3, S, S) uint8."""
        if self.uniforms is None:
            return Streams(self.samples.kept, self.samples.present)
        return self.samples.random_views(self.uniforms, config, self.mixing)

    def map(self, f: Callable[[Tensor], Tensor]) -> SetBatch:
        """With `f` of every tensor."""
        taught = {t: f(v) for t, v in self.taught.items()}
        uniforms = f(self.uniforms) if self.uniforms is not None else None
        mixing = self.mixing.map(f) if self.mixing is not None else None
        return SetBatch(self.samples.map(f), uniforms, self.labels.map(f), taught, mixing)


class TrainingData:
    """The training sets of a store and their order of samples.

    Args:
        store: whose images are learned from.
        recipe: sets, order of samples, views.
        outputs: the teacher's, if they were computed beforehand.
        streams: that batches have.
        takers: streams that each of the networks takes that are asked in a step; none: one that takes `streams`.

    Attributes:
        set_tasks: source set -> the tasks it is made for.
        tasks: the tasks that some set is made for, in the order of the store's spaces.
        order: which rows make up each step, where every node has the whole store.
        images_per_step: over all sets and workers.
        labels: of the samples.
        num_unlabelled: source set -> rows left out, which none of the annotators of `loss.label_sets` labelled.
        num_without_streams: source set -> rows left out, which one of the networks has no stream of.
        lacking: stream -> rows of the sets that do not have it.
        nuisances: what is learned of every set's rows beside the tasks, by name.

    Raises:
        ConfigurationError: a set of `sampling.sets` that the store does not have, a balance of no task, outputs that do
            not fit, or label sets that there are not.
        StoreError: no training set, or none with rows that the networks have a stream of.
    """

    def __init__(
        self,
        store: Store,
        recipe: Recipe,
        outputs: TeacherOutputs | None = None,
        streams: Sequence[str] = (FACE,),
        takers: Sequence[Sequence[str]] = (),
    ) -> None:
        self._store, self._augment, self._outputs, self._streams = store, recipe.augment, outputs, streams
        chosen = without_nuisances([s for s in _chosen(store, recipe.sampling.sets) if len(s.rows)], recipe)
        self.nuisances = trained_nuisances(store, recipe, chosen)
        trained = {task: None for s in chosen for task in s.tasks}
        self.labels = TrainLabels(store, recipe.loss.label_sets, trained, nuisance_labels(self.nuisances))
        labelled = {s.name: self.labels.labelled_rows(s) for s in chosen}
        self.num_unlabelled = {s.name: len(s.rows) - len(labelled[s.name].rows) for s in chosen}
        takes = store.has_for_each(takers or [streams])
        seen = {name: _where(s, takes) for name, s in labelled.items()}
        self.num_without_streams = {name: len(labelled[name].rows) - len(s.rows) for name, s in seen.items()}
        self._sets = {name: s for name, s in seen.items() if len(s.rows)}
        if not self._sets:
            lacking = (
                f", with what the networks take: {', '.join(streams)}"
                if any(len(s.rows) for s in labelled.values())
                else ""
            )
            raise StoreError(f"{store.path}: no rows in any training set{lacking}")
        self.lacking = {
            name: sum(int((~there[s.rows]).sum()) for s in self._sets.values())
            for name, there in ((name, store.has_any([name])) for name in streams)
        }
        self.set_tasks = {name: s.tasks for name, s in self._sets.items()}
        trained = {task: None for tasks in self.set_tasks.values() for task in tasks}

        def labels(task: str) -> np.ndarray:
            return np.concatenate([self.labels.vectors(task, s.rows) for s in self._sets.values() if task in s.tasks])

        self.tasks = build_tasks(
            [s for s in store.manifest.spaces if s.name in trained], recipe.loss, recipe.model, labels, recipe.tasks
        )
        require_balance(self.tasks, recipe.sampling)
        weights = {name: self._balance(set_balance, s, recipe) for name, s in self._sets.items()}
        self.order = SampleOrder(
            weights, recipe.sampling.batch_size, recipe.seed, steps_per_epoch=recipe.sampling.steps_per_epoch
        )
        self._partition: Partition | None = None
        if recipe.sampling.placement == "partition":
            self._partition = self._partitioned(weights, recipe)
        if outputs is not None:
            outputs.require(targets(self.tasks), list(self._sets), recipe.augment, recipe.train.precision)
        self.images_per_step = recipe.sampling.batch_size * len(self._sets)

    def verify(self) -> None:
        """Recomputes the hashes of the files that batches are read from.

        Raises:
            StoreError: one is damaged.
        """
        rows = np.concatenate([s.rows for s in self._sets.values()])
        self._store.verify(rows, self._streams)
        if self._outputs is not None:
            self._outputs.verify(rows)

    def batch(self, epoch: int, step: int, world: World) -> dict[str, SetBatch]:
        """This worker's part of a step, set by set.

        Raises:
            ConfigurationError: the sets' blocks cannot be dealt to so many nodes, or pairs not to so many workers.
        """
        return {
            name: self.set_batch(self._sets[name].rows[samples.rows], samples.uniforms)
            for name, samples in self._samples(epoch, step, world).items()
        }

    def set_batch(self, rows: np.ndarray, uniforms: np.ndarray) -> SetBatch:
        """A worker's part of a set from rows (n,) of the store and their random numbers (n, `num_uniforms`).

        Raises:
            ConfigurationError: pairs are mixed, and n is odd.
        """
        of_views, taught = self._view(rows, uniforms)
        labels = self.labels.of(rows, self.tasks)
        batch = SetBatch(FrameSamples.read(self._store, self._streams, rows), of_views, labels, taught)
        return self._mixed(batch, uniforms) if self._augment.mixings else batch

    def rows(self, epoch: int, step: int, world: World) -> dict[str, np.ndarray]:
        """Rows (n,) of the store in this worker's part of a step, set by set."""
        return {name: self._sets[name].rows[s.rows] for name, s in self._samples(epoch, step, world).items()}

    def blocks(self, epoch: int, world: World) -> np.ndarray | None:
        """Blocks (k,), ascending, that this worker's node reads in an epoch; None: those of all sets.

        Raises:
            ConfigurationError: as of `batch`.
        """
        share = self._share(epoch, world)
        return share.blocks if share is not None else None

    def _samples(self, epoch: int, step: int, world: World) -> dict[str, Samples]:
        share = self._share(epoch, world)
        if share is not None:
            return share.shard(step, world.rank, world.size, num_uniforms(self._augment))
        return self.order.shard(epoch, step, world.rank, world.size, num_uniforms(self._augment))

    def _share(self, epoch: int, world: World) -> Share | None:
        """The share of this worker's node; None where it has everything."""
        if self._partition is None or world.num_nodes == 1:
            return None
        return self._partition.share(epoch, world.nodes, world.node)

    def _partitioned(self, weights: Mapping[str, np.ndarray], recipe: Recipe) -> Partition:
        sets = {}
        for name, s in self._sets.items():
            groups = self._balance(set_balance_groups, s, recipe)
            sets[name] = SetRows.of(self._store.index.block[s.rows], groups, weights[name])
        num_rows = np.bincount(self._store.index.block, minlength=len(self._store.manifest.blocks))
        return Partition(sets, num_rows, recipe.sampling.batch_size, recipe.seed, self.order.num_steps)

    def _balance(self, balance: Callable[..., np.ndarray], source: SourceSet, recipe: Recipe) -> np.ndarray:
        """What `set_balance` or `set_balance_groups` gives of a set."""
        return balance(source, self._store.index.database, self.labels.vectors, self.tasks, recipe.sampling)

    def _mixed(self, batch: SetBatch, uniforms: np.ndarray) -> SetBatch:
        """The batch with mixed labels, whose samples are to be mixed so, too."""
        if len(uniforms) % 2:
            raise ConfigurationError(
                f"augment.{self._augment.mixings[0]} mixes pairs, found {len(uniforms)} samples of a set a worker;"
                " make sampling.batch_size a multiple of twice the number of workers"
            )
        complete = torch.stack(list(batch.samples.present.values())).all(0).numpy()
        mixing, labels = draw_mixing(uniforms, complete, self._augment), batch.labels
        values, labelled, annotators = {}, {}, {}
        for task, own in labels.labels.items():
            of = self.tasks[task] if task in self.tasks else self.nuisances[task].task
            kind = of.space.kind
            values[task], labelled[task] = mixing.labels(own, labels.labelled[task], kind)
            if task in labels.annotators:
                annotators[task] = _mixed_sets(labels.annotators[task], mixing, kind)
        return replace(batch, labels=SetLabels(values, labelled, annotators), mixing=mixing)

    def _view(self, rows: np.ndarray, uniforms: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """The random numbers that make the views of `rows`, and what the teacher says about them if that is known."""
        if self._augment.views is None:
            return torch.from_numpy(uniforms.astype(np.float32)), {}
        views = (uniforms[:, 0] * self._augment.views).astype(np.int64)
        known = self._outputs.read(rows, views) if self._outputs is not None else {}
        taught = {task: torch.from_numpy(known[task]) for task in self.tasks if task in known}
        images = self._store.image_ids(rows)
        return torch.from_numpy(fixed_uniforms(images, views, self._augment.views_seed)), taught


def _where(source: SourceSet, takes: np.ndarray) -> SourceSet:
    """A training set without the rows of the store where `takes` (rows,) is false."""
    kept = takes[source.rows]
    return source if kept.all() else SourceSet(source.name, source.tasks, source.rows[kept])


def _mixed_sets(labels: AnnotatorLabels, mixing: Mixing, kind: Kind) -> AnnotatorLabels:
    """The labels of each annotator, mixed."""
    pairs = zip(labels.values.unbind(1), labels.given.unbind(1), strict=True)
    values, given = zip(*(mixing.labels(own, there, kind) for own, there in pairs), strict=True)
    return AnnotatorLabels(torch.stack(values, 1), torch.stack(given, 1))


def _chosen(store: Store, names: list[str] | None) -> list[SourceSet]:
    """The store's sets called `names`, in the store's order."""
    unknown = sorted(set(names or []) - set(store.sets))
    if unknown:
        raise ConfigurationError(
            f"sampling.sets: {', '.join(unknown)} not among the sets of {store.path} ({', '.join(store.sets)})"
        )
    return [s for name, s in store.sets.items() if names is None or name in names]
