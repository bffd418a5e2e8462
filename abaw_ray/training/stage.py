"""What differs between the stages, a CNN's training and a temporal network's, in one place."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch

from abaw_ray.blocks.features import CNN, FeatureStore
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.teacher_outputs import TeacherOutputs
from abaw_ray.blocks.teacher_outputs import read_manifest as read_teacher_manifest
from abaw_ray.config import Recipe, replaced_settings
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.evaluator import Evaluator
from abaw_ray.inference.features import ComputedFeatures, FeatureSource
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.kinds import own_heads
from abaw_ray.models.sets import Network
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.spaces import Split
from abaw_ray.storage import as_path
from abaw_ray.threads import num_threads
from abaw_ray.training.data import SetBatch, TrainingData
from abaw_ray.training.prefetch import prefetch
from abaw_ray.training.trial_step import check_step
from abaw_ray.training.windows import WindowBatch, WindowData
from abaw_ray.world import World

logger = logging.getLogger(__name__)

Batch = Mapping[str, SetBatch | WindowBatch]
"""Source set -> its part of a step."""


@dataclass(frozen=True)
class Job:
    """What to train.

    Args:
        recipe: configuration.
        store: folder of the store.
        run: folder of the run: logs go there.
        teacher: a finished run or a checkpoint to distil from; None trains a teacher.
        features: a feature store: trains a temporal network over the features of its CNN.
        cnn: a finished run or a checkpoint of a CNN: the same, with features computed in every step.
        teacher_outputs: the teacher's outputs, computed beforehand; None: computed in every step.
    """

    recipe: Recipe
    store: str
    run: str
    teacher: str | None = None
    features: str | None = None
    cnn: str | None = None
    teacher_outputs: str | None = None

    @property
    def role(self) -> str:
        return "teacher" if self.teacher is None else "student"


def adopt(job: Job) -> Job:
    """The job with what its inputs decide: a temporal one has the `model` and `augment` sections of its CNN, a student
    of known teacher's outputs their `augment`. Settings that are replaced by others are warned of.

    Raises:
        MissingInputError: no such features, CNN or outputs.
    """
    if job.teacher_outputs is not None:
        augment = read_teacher_manifest(as_path(job.teacher_outputs)).augment
        adopted, whose = job.recipe.model_copy(update={"augment": augment}), "the teacher's outputs"
    elif job.features is not None or job.cnn is not None:
        cnn = checkpoint.load(as_path(job.features) / CNN if job.features is not None else str(job.cnn))
        adopted, whose = cnn.adopted_by(job.recipe), "the CNN"
    else:
        return job
    for key, (given, used) in replaced_settings(job.recipe, adopted).items():
        logger.warning("%s=%s is not used: %s was made with %s", key, given, whose, used)
    return replace(job, recipe=adopted)


class Stage:
    """A job's data and networks.

    Args:
        job: what to train.
        device: of this worker.

    Attributes:
        store: the job's.
        data: its training sets and their order.
        kind: of network, as in `checkpoint.Description`.
        cnn_sha256: of a temporal network's CNN.

    Raises:
        MissingInputError, StoreError, ConfigurationError: no such store, features or CNN; one that does not fit the
            others; a store without training rows.
    """

    def __init__(self, job: Job, device: torch.device) -> None:
        self._job, self._recipe = job, job.recipe
        self.store = Store(job.store)
        self._cnn, self._source = _frozen(job, self.store, device)
        self.cnn_sha256 = self._cnn.weights_sha256() if self._cnn is not None else None
        self.data: TrainingData | WindowData
        if self._cnn is None or self._source is None:
            self.kind: checkpoint.Kind = "cnn"
            self.data = TrainingData(self.store, job.recipe, _teacher_outputs(job, self.store))
        else:
            self.kind = "temporal"
            names, distils = self._cnn.description.tasks, job.teacher is not None
            self.data = WindowData(self.store, self._source, names, job.recipe, distils)
        _check_weights("set_weights", "training sets", job.recipe.loss.set_weights, self.data.set_tasks)
        _check_weights("task_weights", "tasks", job.recipe.loss.task_weights, self.data.tasks)

    def network(self) -> Network:
        """The network to train, with its first weights."""
        outputs = {t: task.num_outputs for t, task in self.data.tasks.items()}
        if self._cnn is None:
            return MultiTaskCNN(self._recipe.model, outputs, self.store.image_size, own_heads(self._recipe))
        model = self._recipe.model.with_weight_files(lambda file: None)
        heads = own_heads(self._recipe)
        network = TemporalNetwork(model, self._recipe.temporal, outputs, self.store.image_size, heads)
        network.cnn.load_state_dict(self._cnn.tensors(outputs))
        return network

    def teacher(self, device: torch.device) -> Network | None:
        """The job's teacher, if it has one and its outputs are not known beforehand.

        Raises:
            MissingInputError: it is not there.
            ConfigurationError: other tasks, images, kind of network or CNN than the student's.
        """
        if self._job.teacher is None:
            return None
        teacher = checkpoint.load(self._job.teacher)
        found = teacher.description
        spaces = {task.space for task in self.data.tasks.values()}
        if not spaces <= set(found.spaces) or found.image_size != self.store.image_size:
            raise ConfigurationError(
                f"teacher {teacher.path}: tasks {', '.join(found.tasks)}, images of {found.image_size} pixels;"
                f" expected {', '.join(self.data.tasks)}, {self.store.image_size} pixels"
            )
        if (found.kind, found.cnn_sha256) != (self.kind, self.cnn_sha256):
            of_another = " of another CNN than the student's" if found.kind == self.kind else ""
            raise ConfigurationError(
                f"teacher {teacher.path}: found a {found.kind} network{of_another}, expected one of kind {self.kind}"
            )
        return teacher.network(device) if self._job.teacher_outputs is None else None

    def check(self, num_workers: int) -> None:
        """Refuses what can be known to fail before any worker starts.

        Raises:
            MissingInputError, StoreError, ConfigurationError: as `teacher` and `evaluator`; no such backbone or
                weights; a batch that the workers cannot share equally; a network that cannot take a step with their
                parts of it; a file that is not as it was written.
        """
        self.data.order.shard(0, 0, 0, num_workers)
        with torch.random.fork_rng(devices=[]):
            network = self.network()
            if isinstance(network, MultiTaskCNN):
                check_step(network, self._recipe, self.store.image_size, len(self.data.set_tasks), num_workers)
        self.teacher(torch.device("cpu"))
        evaluator = self.evaluator()
        self.data.verify()
        evaluator.verify()

    def evaluator(self) -> Evaluator:
        """Scores on the validation split.

        Raises:
            StoreError: there are no validation labels.
        """
        return Evaluator(self.store, self.data.tasks, Split.VALIDATION, self._recipe, self._source)

    def batches(self, epoch: int, world: World) -> Iterator[Batch]:
        """This worker's batches of an epoch, made ahead on threads: see `SetBatch.ahead`."""

        def make(step: int) -> Batch:
            batch = self.data.batch(epoch, step, world)
            return {n: b.ahead(world.device, self._recipe.augment) for n, b in batch.items()}

        threading.Thread(target=self._fetch, args=(epoch, world), name="fetch", daemon=True).start()
        # a thread a batch is the fastest way to views; without them it is all threads on one batch
        makes_views = isinstance(self.data, TrainingData) and world.device.type == "cpu"
        return prefetch(make, self.data.order.num_steps, num_threads() if makes_views else 1)

    def _fetch(self, epoch: int, world: World) -> None:
        """Brings this node's share of a remote store here, and the next epoch's, if every node has a share."""
        for number in (epoch, epoch + 1):
            blocks = self.data.blocks(number, world) if isinstance(self.data, TrainingData) else None
            if blocks is not None and number < self._recipe.train.epochs:
                self.store.fetch(blocks)


def _teacher_outputs(job: Job, store: Store) -> TeacherOutputs | None:
    if job.teacher_outputs is None:
        return None
    outputs = TeacherOutputs(job.teacher_outputs, store)
    if job.teacher is None or outputs.manifest.teacher_sha256 != checkpoint.load(job.teacher).weights_sha256():
        raise ConfigurationError(f"{outputs.path}: outputs of another teacher than {job.teacher}")
    return outputs


def _check_weights(key: str, what: str, weights: Mapping[str, float], known: Mapping[str, object]) -> None:
    unknown = sorted(set(weights) - set(known))
    if unknown:
        raise ConfigurationError(f"loss.{key}: {', '.join(unknown)} not among the {what}: {', '.join(known)}")


def _frozen(job: Job, store: Store, device: torch.device) -> tuple[Checkpoint | None, FeatureSource | None]:
    """The CNN that a temporal network goes on from, and where its features come from; None, None for a CNN."""
    if job.features is None and job.cnn is None:
        return None, None
    source: FeatureSource
    if job.features is not None:
        source = FeatureStore(job.features, store)
        cnn = checkpoint.load(source.cnn)
    else:
        assert job.cnn is not None
        cnn = checkpoint.load(job.cnn)
        cnn.require(store)
        source = ComputedFeatures(store, cnn.cnn(device), job.recipe)
    if cnn.adopted_by(job.recipe) != job.recipe:
        raise ConfigurationError(f"the sections model and augment must be those of the CNN, {cnn.path}")
    return cnn, source
