"""A job's data, networks, teacher and losses, whatever its kind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping

import torch

from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.evaluator import Evaluator
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.kinds import of_frames
from abaw_ray.models.sets import Network
from abaw_ray.objectives import build_objectives
from abaw_ray.objectives.base import Context, Objective
from abaw_ray.objectives.distillation import Distillation
from abaw_ray.objectives.kd import build_kd_losses
from abaw_ray.objectives.nuisance import Nuisance
from abaw_ray.objectives.supervised import Supervised
from abaw_ray.plugins import import_plugins
from abaw_ray.spaces import Split
from abaw_ray.streams.base import FACE
from abaw_ray.tasks import targets
from abaw_ray.teachers import TEACHERS
from abaw_ray.teachers.base import Teacher
from abaw_ray.teachers.mapped import MappedNetwork, TaskMap, task_maps
from abaw_ray.teachers.stored import StoredTeacher
from abaw_ray.threads import num_threads
from abaw_ray.training.colours import warn_of_grey
from abaw_ray.training.device_copies import DeviceCopies
from abaw_ray.training.job import Job
from abaw_ray.training.kinds import kind_of
from abaw_ray.training.kinds.base import Batch
from abaw_ray.training.optimizers import build_optimizer
from abaw_ray.training.prefetch import prefetch
from abaw_ray.training.task_weighting import StagnationWeights
from abaw_ray.world import World

logger = logging.getLogger(__name__)


class Stage:
    """A job's data and networks.

    Args:
        job: what to train.
        device: of this worker.

    Attributes:
        store: the job's.
        data: its training sets and their order.
        kind: of network, as in `checkpoint.Description`.
        cnn_sha256: of a temporal network's CNN, or of several in the order of their features.
        shapes: stream -> shape of one sample, of those that the network takes.

    Raises:
        MissingInputError, StoreError, ConfigurationError: no such store, features or CNN; one that does not fit the
            others; a store without training rows.
    """

    def __init__(self, job: Job, device: torch.device) -> None:
        import_plugins(job.recipe.plugins, "the recipe")  # of a process that was given it whole
        self._job, self._recipe = job, job.recipe
        self.store = Store(job.store)
        self._kind = kind_of(job, self.store, device)
        self.data, self.kind, self.cnn_sha256 = self._kind.data, self._kind.name, self._kind.cnn_sha256
        self.shapes = self._kind.shapes
        _check_weights("set_weights", "training sets", job.recipe.loss.set_weights, self.data.set_tasks)
        _check_weights("task_weights", "tasks", job.recipe.loss.task_weights, self.data.tasks)

    def network(self) -> Network:
        """The network to train, with its first weights."""
        return self._kind.network()

    def teacher(self, device: torch.device) -> Teacher | None:
        """The job's teacher; None: it has none.

        Raises:
            MissingInputError: it is not there.
            ConfigurationError: other tasks, images, kind of network or CNN than the student's.
        """
        found = [checkpoint.load(teacher) for teacher in self._job.teachers]
        for teacher in found:
            self._check_teacher(teacher)
        if not found:
            return None
        if self._job.teacher_outputs is not None:
            return StoredTeacher()
        make = TEACHERS.get(self._recipe.loss.teacher, "loss.teacher")
        return make([self._teaching(teacher, device) for teacher in found], self.data.tasks)

    def objective(self, network: Network, teacher: Teacher | None) -> Supervised | Distillation:
        """What the heads of a network learn.

        Raises:
            ConfigurationError: an unknown KD loss or option, or one that the teacher has too little for.
        """
        tasks, set_tasks, label_sets = self.data.tasks, self.data.set_tasks, self.data.labels.sets
        if teacher is None:
            return Supervised(tasks, set_tasks, label_sets)
        loss = self._recipe.loss
        kd = build_kd_losses(loss.kd, network.feature_widths, teacher.feature_widths)
        return Distillation(tasks, set_tasks, loss, kd, label_sets)

    def task_weighting(self) -> StagnationWeights | None:
        """Of the tasks that count; None: their weights stay as the recipe has them."""
        stays = self._recipe.loss.task_weighting == "fixed"
        return None if stays else StagnationWeights(targets(self.data.tasks))

    def added_objectives(self, network: Network) -> dict[str, Objective]:
        """The losses that the recipe adds, and those of its nuisances.

        Raises:
            ConfigurationError: an unknown one, an option that it does not have, or a network that it is not for.
        """
        train = self._recipe.train
        num_updates = train.epochs * -(-self.data.order.num_steps // train.accumulate)
        context = Context(
            self.data.tasks,
            self.data.set_tasks,
            network.feature_widths,
            self.shapes,
            lacking=self.data.lacking,
            shared_width=network.shared_width,
            num_updates=num_updates,
        )
        added = build_objectives(self._recipe.objectives, context)
        nuisances = self.data.nuisances
        if both := sorted(added.keys() & nuisances.keys()):
            raise ConfigurationError(f"objectives: found {', '.join(both)}, which is a nuisance of the recipe's tasks")
        return added | {name: Nuisance(found.task, found.options, context) for name, found in nuisances.items()}

    def check(self, num_workers: int) -> None:
        """Refuses what can be known to fail before any worker starts.

        Raises:
            MissingInputError, StoreError, ConfigurationError: as of the other methods; no such backbone or weights; a
                batch that the workers cannot share equally; a network that cannot take a step with their parts of it; a
                file that is not as it was written.
        """
        for name, num_rows in self.data.num_unlabelled.items():
            if num_rows:
                logger.warning("%s: %d rows have no train label of the annotators of loss.label_sets", name, num_rows)
        for name, num_rows in self.data.num_without_streams.items():
            if num_rows:
                taken = ", ".join(self.shapes or [FACE])
                logger.warning("%s: %d rows have nothing of what the networks take (%s)", name, num_rows, taken)
        self.data.order.shard(0, 0, 0, num_workers)
        with torch.random.fork_rng(devices=[]):
            network = self.network()
            self._kind.try_step(network, num_workers)
            self.objective(network, self.teacher(torch.device("cpu")))
            self.added_objectives(network)
            build_optimizer(network, [], self._recipe)
        evaluator = self.evaluator()
        self.data.verify()
        if FACE in self.shapes and not self._recipe.model.grey:
            warn_of_grey(self.store, self.data.rows(0, 0, World()))
        evaluator.verify()

    def evaluator(self) -> Evaluator:
        """Scores on the validation split.

        Raises:
            StoreError: there are no validation labels.
        """
        return Evaluator(self.store, self.data.tasks, Split.VALIDATION, self._recipe, self._kind.source)

    def batches(self, epoch: int, world: World, first: int = 0) -> Iterator[Batch]:
        """This worker's batches of an epoch from a step on, on its device, made ahead on threads: see
        `SetBatch.prepared_for`."""

        def make(step: int) -> Batch:
            batch = self.data.batch(epoch, step, world)
            return {n: b.prepared_for(world.device, self._recipe.augment) for n, b in batch.items()}

        threading.Thread(target=self._fetch, args=(epoch, world), name="fetch", daemon=True).start()
        num_steps = self.data.order.num_steps
        if world.device.type == "cuda":
            copies = DeviceCopies(world.device)
            return copies.arrived(prefetch(lambda step: copies.start(make(step)), num_steps, first=first))
        # a thread a batch is the fastest way to views; without them it is all threads on one batch
        return prefetch(make, num_steps, num_threads() if self._kind.makes_views else 1, first)

    def _fetch(self, epoch: int, world: World) -> None:
        """Brings this node's share of a remote store here, and the next epoch's, if every node has a share."""
        for number in (epoch, epoch + 1):
            blocks = self.data.blocks(number, world)
            if blocks is not None and number < self._recipe.train.epochs:
                self.store.fetch(blocks)

    def _teaching(self, teacher: Checkpoint, device: torch.device) -> Network:
        """A teacher's network, which says something of every task that is taught."""
        network, maps = teacher.network(device), self._maps(teacher)
        return MappedNetwork(network, maps) if maps else network

    def _maps(self, teacher: Checkpoint) -> dict[str, TaskMap]:
        names = self._recipe.loss.teacher_maps
        return task_maps(teacher.tasks(teacher.recipe), self.data.tasks, names, f"teacher {teacher.path}")

    def _check_teacher(self, teacher: Checkpoint) -> None:
        found, maps = teacher.description, self._maps(teacher)
        taught = [name for name in targets(self.data.tasks) if name not in maps]
        spaces = {self.data.tasks[name].space for name in taught}
        if not spaces <= set(found.spaces) or found.image_size != self.store.image_size:
            raise ConfigurationError(
                f"teacher {teacher.path}: tasks {', '.join(found.tasks)}, images of {found.image_size} pixels;"
                f" expected {', '.join(taught)}, {self.store.image_size} pixels"
            )
        if of_frames(found.kind):
            teacher.require_views(self._recipe.augment)
        is_stored = self._job.teacher_outputs is not None
        is_like = of_frames(found.kind) == of_frames(self.kind)
        if not is_like or (found.cnn_sha256 != self.cnn_sha256 and not is_stored):
            of_another = " of another CNN than the student's" if is_like else ""
            raise ConfigurationError(
                f"teacher {teacher.path}: found a {found.kind} network{of_another}, expected one of kind {self.kind}"
            )


def _check_weights(key: str, what: str, weights: Mapping[str, float], known: Mapping[str, object]) -> None:
    unknown = sorted(set(weights) - set(known))
    if unknown:
        raise ConfigurationError(f"loss.{key}: {', '.join(unknown)} not among the {what}: {', '.join(known)}")
