"""The features of a store's videos, by a CNN."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from abaw_ray.augmentation import Variants, window_variants
from abaw_ray.blocks.features import CNN, FeatureManifest, block_key
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.inference.blockwise import BlockJob, BlockWorker, claimed, compute_blocks, finish, spread
from abaw_ray.inference.features import view_features
from abaw_ray.inference.predict import require_numbers
from abaw_ray.models import checkpoint
from abaw_ray.models.frozen_cnns import inherited
from abaw_ray.spaces import Split
from abaw_ray.storage import AnyPath
from abaw_ray.world import local_device


def extract_features(
    run: AnyPath | str,
    store_path: AnyPath | str,
    out: AnyPath,
    num_variants: int | None = None,
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    use_gpu: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FeatureManifest:
    """Writes the features of the store's videos as a run's CNN gives them; what is finished is not computed again.

    Frames with a train label get every variant of the temporal augmentation (crops and flips, whatever else changed
    images when the CNN was trained), others the evaluation view.

    Args:
        run: a finished run of a CNN, or its checkpoint.
        store_path: a store of the images' size the CNN was trained with.
        out: a folder that is new, empty or holds features of the same CNN and store.
        num_variants: 1 for the evaluation view alone, else the number of all variants; None: all.
        change: applied to the checkpoint's recipe, whose `temporal.databases`, zoom, batch size and precision count.
        use_gpu: one GPU a CNN; None: if the cluster has any.
        progress: called with frames done and frames in all.

    Raises:
        ConfigurationError: a number of variants there is not, another image size, or a folder of something else.
        MissingInputError, StoreError: no such run or store, or no video in it.
    """
    trained, store = checkpoint.load(run), Store(store_path)
    trained.require(store)
    recipe = change(trained.recipe)
    if inherited([trained], recipe) != recipe:
        raise ConfigurationError(f"the sections tasks, model and augment must be those of the CNN, {trained.path}")
    trained.cnn(torch.device("cpu"))
    variants = window_variants(store.image_size, recipe.augment)
    if num_variants not in (None, 1, len(variants)):
        raise ConfigurationError(
            f"--variants {num_variants}: images of {store.image_size} pixels have {len(variants)} variants; expected 1"
            f" (the evaluation view alone) or {len(variants)}"
        )
    manifest = _manifest(trained, store, recipe, variants, num_variants != 1)
    jobs = [_job(store, manifest, block) for block in _blocks(store, recipe.temporal.databases)]
    arguments = {"store": str(store.path.resolve()), "out": out.resolve(), "recipe": recipe}
    with claimed(out, manifest) as recorded:
        if recorded is None:
            trained.copy(out / CNN)
        blocks = compute_blocks(jobs, out, recorded, Extractor, arguments, use_gpu, progress)
        return finish(out, manifest, blocks)


def _manifest(
    trained: checkpoint.Checkpoint, store: Store, recipe: Recipe, variants: Variants, all_variants: bool
) -> FeatureManifest:
    """The manifest, without blocks."""
    return FeatureManifest(
        store_hash=store.manifest.hash_of(),
        cnn_sha256=trained.weights_sha256(),
        tasks=trained.description.tasks,
        width=recipe.model.head_features,
        databases=tuple(recipe.temporal.databases),
        all_variants=all_variants,
        offsets=variants.offsets.tolist(),
        flips=variants.flips.tolist(),
        margin=variants.margin,
        flip=variants.flip,
        precision=recipe.train.precision,
        blocks=[],
    )


def _blocks(store: Store, databases: Sequence[str]) -> np.ndarray:
    """Places in the manifest's list of the blocks of `databases`, which must hold videos."""
    unknown = [d for d in databases if d not in store.databases or not store.sequential[store.databases.index(d)]]
    if unknown:
        videos = ", ".join(d for d, s in zip(store.databases, store.sequential, strict=True) if s) or "none"
        raise StoreError(
            f"temporal.databases: {', '.join(unknown)} not among the databases of videos in {store.path} ({videos})"
        )
    codes = [store.databases.index(d) for d in databases]
    blocks = np.unique(store.index.block[np.isin(store.index.database, codes) & store.index.has_face])
    if not len(blocks):
        raise StoreError(f"{store.path}: no face in the videos of {', '.join(databases)}")
    return blocks


def _job(store: Store, manifest: FeatureManifest, block: int) -> BlockJob:
    entry, rows = store.manifest.blocks[block], store.index.rows_of_block(block)
    every_row = np.arange(rows.start, rows.stop)
    trains = any((store.labels(task).splits_of(every_row) == Split.TRAIN).any() for task in store.spaces)
    every = trains and manifest.all_variants
    variants = list(range(len(manifest.variants))) if every else [manifest.variants.centre]
    key = block_key(manifest, entry.path, variants)
    return BlockJob(entry.path, rows.start, rows.stop - rows.start, variants, key)


class Extractor(BlockWorker):
    """A CNN that computes the features of frames; those of frames without a face are NaN."""

    def __init__(self, store: str, out: AnyPath, recipe: Recipe) -> None:
        super().__init__(store, out)
        self._recipe = recipe
        self._cnn = checkpoint.load(out / CNN).cnn(local_device())
        self._variants = window_variants(self.store.image_size, recipe.augment)

    def columns(self, rows: np.ndarray, variants: list[int]) -> dict[str, np.ndarray]:
        has_face = self.store.index.has_face[rows]
        images = self.store.images(rows[has_face])
        views = {variant: self._view(images, rows[has_face], variant) for variant in variants}
        return {
            f"{task}/{variant}": spread(values, has_face)
            for variant, view in views.items()
            for task, values in view.items()
        }

    def _view(self, images: np.ndarray, rows: np.ndarray, variant: int) -> dict[str, np.ndarray]:
        size = self._recipe.train.evaluation_batch_size
        parts = [
            view_features(self._cnn, part, self._variants, np.full(len(part), variant), self._recipe)
            for part in (images[i : i + size] for i in range(0, len(images), size))
        ]
        features = {task: np.concatenate([part[task] for part in parts]) for task in parts[0]}
        require_numbers("features", features, rows, self.store)
        return features
