"""A teacher's outputs for the training images of a store, computed before its students are trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from abaw_ray.augmentation import fixed_uniforms, random_views
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.teacher_outputs import MANIFEST, TeacherManifest, read_manifest
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.blockwise import BlockJob, BlockWorker, claimed, compute_blocks, finish, rows_of_block
from abaw_ray.inference.predict import require_numbers
from abaw_ray.models import checkpoint
from abaw_ray.storage import AnyPath
from abaw_ray.world import autocast_dtype, local_device

DEFAULT_VIEWS = 8


def with_views(recipe: Recipe) -> Recipe:
    """The recipe with a number of views: its own, or the default."""
    if recipe.augment.views is not None:
        return recipe
    return recipe.model_copy(update={"augment": recipe.augment.model_copy(update={"views": DEFAULT_VIEWS})})


def compute_teacher_outputs(
    run: AnyPath | str,
    store_path: AnyPath | str,
    out: AnyPath,
    recipe: Recipe,
    use_gpu: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TeacherManifest:
    """Writes a teacher's outputs for every view of every training image; what is finished is not computed again.

    Args:
        run: a finished run of a CNN, or its checkpoint.
        store_path: a store of the images' size it was trained with.
        out: a folder that is new, empty or holds outputs of the same teacher, store and views.
        recipe: the students', whose `augment` (with a number of views), `sampling.sets`, precision and evaluation
            batch size count.
        use_gpu: one GPU a network; None: if the cluster has any.
        progress: called with images done and images in all.

    Raises:
        ConfigurationError: no number of views, another image size, a temporal network, or a folder of something else.
        MissingInputError, StoreError: no such run or store.
    """
    if recipe.augment.views is None:
        raise ConfigurationError("augment.views: found no number; a teacher's outputs are kept for a number of views")
    teacher, store = checkpoint.load(run), Store(store_path)
    teacher.require(store)
    teacher.cnn(torch.device("cpu"))
    sets = tuple(name for name in store.sets if recipe.sampling.sets is None or name in recipe.sampling.sets)
    manifest = TeacherManifest(
        store_hash=store.manifest.content_hash,
        teacher_sha256=teacher.weights_sha256(),
        outputs={name: task.num_outputs for name, task in teacher.tasks(teacher.recipe).items()},
        sets=sets,
        augment=recipe.augment,
        precision=recipe.train.precision,
        blocks=[],
    )
    blocks = np.unique(store.index.block[_rows(store, sets)])
    jobs = [_job(store, manifest, block) for block in blocks.tolist()]
    arguments = {
        "store": str(store.path.resolve()),
        "out": out.resolve(),
        "teacher": str(teacher.path.resolve()),
        "sets": sets,
        "recipe": recipe,
    }
    with claimed(out, MANIFEST, manifest, read_manifest, "a teacher's outputs") as recorded:
        computed = compute_blocks(jobs, out, recorded, Teacher, arguments, use_gpu, progress)
        return finish(out, MANIFEST, manifest, computed)


def _rows(store: Store, sets: tuple[str, ...]) -> np.ndarray:
    """Rows of the index in any of the training sets."""
    return np.unique(np.concatenate([store.sets[name].rows for name in sets]))


def _job(store: Store, manifest: TeacherManifest, block: int) -> BlockJob:
    entry, rows = store.manifest.blocks[block], rows_of_block(store, block)
    return BlockJob(entry.path, rows.start, entry.num_rows, list(range(manifest.num_views)), manifest.key(entry.path))


class Teacher(BlockWorker):
    """A CNN that computes logits, under the precision of its students."""

    def __init__(self, store: str, out: AnyPath, teacher: str, sets: tuple[str, ...], recipe: Recipe) -> None:
        super().__init__(store, out)
        self._network = checkpoint.load(teacher).cnn(local_device())
        self._rows, self._recipe = _rows(self.store, sets), recipe

    def columns(self, rows: np.ndarray, variants: list[int]) -> dict[str, np.ndarray]:
        taught = np.isin(rows, self._rows)
        size, of_sets = self._recipe.train.evaluation_batch_size, rows[taught]
        batches = [self._logits(of_sets[i : i + size], variants) for i in range(0, len(of_sets), size)]
        logits = {t: np.concatenate([batch[t] for batch in batches]).reshape(len(of_sets), -1) for t in batches[0]}
        require_numbers("outputs", logits, of_sets, self.store)
        columns = {task: np.full((len(rows), values.shape[1]), np.nan, np.float32) for task, values in logits.items()}
        for task, values in logits.items():
            columns[task][taught] = values
        return columns

    def _logits(self, rows: np.ndarray, views: list[int]) -> dict[str, np.ndarray]:
        """Task -> logits (n, views, outputs) float32 of rows (n,), whose images are read once for all views."""
        images = torch.from_numpy(self.store.images(rows)).to(self._network.mean.device)
        of_views = [self._view(images, rows, view) for view in views]
        return {t: torch.stack([of_view[t] for of_view in of_views], 1).float().cpu().numpy() for t in of_views[0]}

    def _view(self, images: torch.Tensor, rows: np.ndarray, view: int) -> dict[str, torch.Tensor]:
        """Task -> logits (n, outputs) of one view of images (n, size, size, 3) uint8, those of rows (n,)."""
        device, augment = images.device, self._recipe.augment
        dtype = autocast_dtype(device, self._recipe.train)
        ids = self.store.image_ids(rows)
        uniforms = torch.from_numpy(fixed_uniforms(ids, np.full(len(rows), view), augment.views_seed)).to(device)
        with torch.inference_mode(), torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            seen = random_views(images, uniforms, augment)
            return self._network(seen.contiguous(memory_format=torch.channels_last))
