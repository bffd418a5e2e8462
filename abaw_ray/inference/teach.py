"""Outputs of teachers for what their students learn from, computed before the students are trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from abaw_ray.augmentation import fixed_uniforms
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.teacher_outputs import TeacherManifest
from abaw_ray.config import Recipe, require_plain_views
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.inference.blockwise import BlockJob, BlockWorker, claimed, compute_blocks, finish, spread
from abaw_ray.inference.ensemble_columns import ensemble_columns
from abaw_ray.inference.predict import require_numbers
from abaw_ray.inference.samples import FrameSamples
from abaw_ray.inference.teach_frames import frame_outputs
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.kinds import of_frames, streams_of
from abaw_ray.storage import AnyPath
from abaw_ray.streams.base import FACE
from abaw_ray.world import autocast_dtype, local_device

DEFAULT_VIEWS = 8


def with_views(recipe: Recipe) -> Recipe:
    """The recipe with a number of views: its own, or the default.

    Raises:
        ConfigurationError: its images are changed by more than zoom, crop and flip, or mixed.
    """
    try:
        require_plain_views(recipe.augment)
    except ValueError as error:
        raise ConfigurationError(f"augment: {error}") from None
    if recipe.augment.views is not None:
        return recipe
    return recipe.model_copy(update={"augment": recipe.augment.model_copy(update={"views": DEFAULT_VIEWS})})


def compute_teacher_outputs(
    runs: Sequence[AnyPath | str],
    store_path: AnyPath | str,
    out: AnyPath,
    recipe: Recipe,
    use_gpu: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TeacherManifest:
    """Writes what teachers say; what is finished is not computed again.

    Networks of frames say it of every view of every training image, but of rows that have none of the streams that one
    of them takes. Temporal networks say it of every frame of the
    videos, in the evaluation view and in the windows of an evaluation: it does not depend on the student's windows or
    their views.

    Args:
        runs: finished runs of one kind of network, or their checkpoints; several are an ensemble.
        store_path: a store of the images' size they were trained with.
        out: a folder that is new, empty or holds outputs of the same teachers, store and views.
        recipe: the students', whose `augment` (with a number of views), `sampling.sets`, `temporal.databases`,
            precision and evaluation batch size count.
        use_gpu: one GPU a network; None: if the cluster has any.
        progress: called with images done and images in all.

    Raises:
        ConfigurationError: no number of views, another image size, networks of several kinds or tasks, or a folder of
            something else.
        MissingInputError, StoreError: no such run or store, or no row that the teachers can say something of.
    """
    teachers, store = [checkpoint.load(run) for run in runs], Store(store_path)
    for teacher in teachers:
        teacher.require(store)
        if of_frames(teacher.description.kind):
            teacher.require_views(recipe.augment)
    manifest = _manifest(teachers, store, recipe)
    with claimed(out, manifest) as recorded:
        if not of_frames(manifest.kind):
            return finish(out, manifest, frame_outputs(teachers, store, out, recipe, manifest, recorded, progress))
        rows = _rows(store, manifest.sets, teachers)
        if not len(rows):
            raise StoreError(
                f"{store.path}: no row of {', '.join(manifest.sets)} has what the teachers take:"
                f" {', '.join(_streams(teachers))}"
            )
        blocks = np.unique(store.index.block[rows])
        jobs = [_job(store, manifest, block) for block in blocks.tolist()]
        arguments = {
            "store": str(store.path.resolve()),
            "out": out.resolve(),
            "teachers": [str(teacher.path.resolve()) for teacher in teachers],
            "sets": manifest.sets,
            "recipe": recipe,
        }
        return finish(out, manifest, compute_blocks(jobs, out, recorded, TeachingWorker, arguments, use_gpu, progress))


def _manifest(teachers: Sequence[Checkpoint], store: Store, recipe: Recipe) -> TeacherManifest:
    """The manifest, without blocks."""
    first = teachers[0].description
    for teacher in teachers:
        found = teacher.description
        if (found.kind, found.spaces) != (first.kind, first.spaces):
            raise ConfigurationError(
                f"{teacher.path}: found a {found.kind} network of {', '.join(found.tasks)}, expected a {first.kind} one"
                f" of {', '.join(first.tasks)}, as {teachers[0].path}"
            )
    is_of_frames, tasks = of_frames(first.kind), teachers[0].tasks(teachers[0].recipe)
    if is_of_frames and recipe.augment.views is None:
        raise ConfigurationError("augment.views: found no number; a teacher's outputs are kept for a number of views")
    streams = [name for name in _streams(teachers) if name != FACE] if is_of_frames else []
    chosen = (name for name in store.sets if recipe.sampling.sets is None or name in recipe.sampling.sets)
    return TeacherManifest(
        store_hash=store.manifest.hash_of(streams),
        streams=tuple(streams),
        kind=first.kind,
        teachers=tuple(teacher.weights_sha256() for teacher in teachers),
        outputs={name: task.num_outputs for name, task in tasks.items()},
        groups={name: task.num_groups for name, task in tasks.items()} if len(teachers) > 1 else {},
        sets=tuple(chosen) if is_of_frames else (),
        augment=recipe.augment if is_of_frames else teachers[0].recipe.augment.model_copy(update={"views": None}),
        precision=recipe.train.precision,
        blocks=[],
    )


def _streams(teachers: Sequence[Checkpoint]) -> list[str]:
    """Streams that networks of frames take together."""
    return list(dict.fromkeys(name for teacher in teachers for name in streams_of(teacher.recipe.model)))


def _rows(store: Store, sets: tuple[str, ...], teachers: Sequence[Checkpoint]) -> np.ndarray:
    """Rows of the index in any of the training sets that each teacher has a stream of."""
    rows = np.unique(np.concatenate([store.sets[name].rows for name in sets]))
    for teacher in teachers:
        rows = rows[store.has_any(streams_of(teacher.recipe.model))[rows]]
    return rows


def _job(store: Store, manifest: TeacherManifest, block: int) -> BlockJob:
    entry, rows = store.manifest.blocks[block], store.index.rows_of_block(block)
    views, key = list(range(manifest.num_views)), manifest.key(entry.path)
    return BlockJob(entry.path, rows.start, rows.stop - rows.start, views, key)


class TeachingWorker(BlockWorker):
    """Networks of frames that compute logits, under the precision of their students."""

    def __init__(self, store: str, out: AnyPath, teachers: list[str], sets: tuple[str, ...], recipe: Recipe) -> None:
        super().__init__(store, out)
        found = [checkpoint.load(teacher) for teacher in teachers]
        self._tasks = found[0].tasks(found[0].recipe)
        self._networks, self._streams = [teacher.frame_network(local_device()) for teacher in found], _streams(found)
        self._rows, self._recipe = _rows(self.store, sets, found), recipe

    def columns(self, rows: np.ndarray, variants: list[int]) -> dict[str, np.ndarray]:
        taught = np.isin(rows, self._rows)
        size, of_sets = self._recipe.train.evaluation_batch_size, rows[taught]
        batches = [self._outputs(of_sets[i : i + size], variants) for i in range(0, len(of_sets), size)]
        outputs = {t: np.concatenate([batch[t] for batch in batches]).reshape(len(of_sets), -1) for t in batches[0]}
        require_numbers("outputs", outputs, of_sets, self.store)
        return {name: spread(values, taught) for name, values in outputs.items()}

    def _outputs(self, rows: np.ndarray, views: list[int]) -> dict[str, np.ndarray]:
        """Column -> (n, views, width) float32 of rows (n,), whose samples are read once for all views."""
        samples = FrameSamples.read(self.store, self._streams, rows).to(local_device())
        of_views = [self._view(samples, rows, view) for view in views]
        return {c: torch.stack([of_view[c] for of_view in of_views], 1).float().cpu().numpy() for c in of_views[0]}

    def _view(self, samples: FrameSamples, rows: np.ndarray, view: int) -> dict[str, torch.Tensor]:
        """Column -> (n, width) of one view of the samples of rows (n,)."""
        device, augment = local_device(), self._recipe.augment
        dtype = autocast_dtype(device, self._recipe.train)
        ids = self.store.image_ids(rows)
        uniforms = torch.from_numpy(fixed_uniforms(ids, np.full(len(rows), view), augment.views_seed)).to(device)
        with torch.inference_mode(), torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            seen = samples.random_views(uniforms, augment)
            said = [network.of_streams(seen) for network in self._networks]
        return ensemble_columns(self._tasks, said)
