"""The features of a store's videos, computed by Ray Data with a pool of CNNs, one a GPU or CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.data
import torch
from ray.data import ActorPoolStrategy

from abaw_ray.augmentation import Variants, window_variants
from abaw_ray.blocks.features import (
    BLOCKS,
    CNN,
    MANIFEST,
    FeatureBlock,
    FeatureManifest,
    block_key,
    is_finished,
    read_manifest,
    write_features,
)
from abaw_ray.blocks.files import sha256_of, write_text
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.labels import TASKS, Split
from abaw_ray.models import checkpoint
from abaw_ray.models.features import view_features
from abaw_ray.ray_session import data_context, ray_session
from abaw_ray.world import local_device

UNFINISHED = "unfinished.json"


def extract_features(
    run: Path | str,
    store_path: Path | str,
    out: Path,
    num_variants: int | None = None,
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    use_gpu: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FeatureManifest:
    """Writes the features of the store's videos as a run's CNN gives them; what is finished is not computed again.

    Frames with a train label get every variant of the temporal augmentation, others the evaluation view.

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
    if trained.adopted_by(recipe) != recipe:
        raise ConfigurationError(f"the sections model and augment must be those of the CNN, {trained.path}")
    trained.cnn(torch.device("cpu"))
    variants = window_variants(store.image_size, recipe.augment)
    if num_variants not in (None, 1, len(variants)):
        raise ConfigurationError(
            f"--variants {num_variants}: images of {store.image_size} pixels have {len(variants)} variants; expected 1"
            f" (the evaluation view alone) or {len(variants)}"
        )
    blocks = _blocks(store, recipe.temporal.databases)
    manifest = _manifest(trained, store, recipe, variants, num_variants != 1)
    _claim(out, manifest, trained)
    jobs = [_job(store, manifest, block) for block in blocks]
    total = sum(job["num_rows"] for job in jobs)
    waiting = [job for job in jobs if not is_finished(out / BLOCKS / job["path"], job["key"])]
    done = total - sum(job["num_rows"] for job in waiting)
    hashes = {}
    if waiting:
        with ray_session(), data_context():
            for result in _compute(waiting, str(store.path.resolve()), out.resolve(), recipe, use_gpu):
                hashes[result["path"]] = result["sha256"]
                done += result["num_rows"]
                if progress is not None:
                    progress(done, total)
    entries = [
        FeatureBlock(
            path=job["path"],
            num_rows=job["num_rows"],
            num_variants=len(job["variants"]),
            sha256=hashes.get(job["path"]) or sha256_of(out / BLOCKS / job["path"]),
        )
        for job in jobs
    ]
    manifest = manifest.model_copy(update={"blocks": entries})
    write_text(out / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    (out / UNFINISHED).unlink(missing_ok=True)
    return manifest


def _manifest(
    trained: checkpoint.Checkpoint, store: Store, recipe: Recipe, variants: Variants, all_variants: bool
) -> FeatureManifest:
    """The manifest, without blocks."""
    return FeatureManifest(
        store_hash=store.manifest.content_hash,
        cnn_sha256=trained.weights_sha256(),
        tasks=trained.description.tasks,
        width=recipe.model.head_features,
        databases=tuple(recipe.temporal.databases),
        all_variants=all_variants,
        offsets=variants.offsets.tolist(),
        flips=variants.flips.tolist(),
        margin=variants.margin,
        flip=variants.flip,
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
    return np.unique(store.index.block[np.isin(store.index.database, codes)])


def _job(store: Store, manifest: FeatureManifest, block: int) -> dict[str, Any]:
    """What an actor needs to know about a block."""
    entry = store.manifest.blocks[block]
    first = int(np.searchsorted(store.index.block, block))
    rows = slice(first, first + entry.num_rows)
    trains = any((store.index.splits[task][rows] == Split.TRAIN).any() for task in TASKS)
    every = trains and manifest.all_variants
    variants = list(range(len(manifest.variants))) if every else [manifest.variants.centre]
    return {
        "path": entry.path,
        "first_row": first,
        "num_rows": entry.num_rows,
        "variants": variants,
        "key": block_key(manifest, entry.path, variants),
    }


def _claim(out: Path, manifest: FeatureManifest, trained: checkpoint.Checkpoint) -> None:
    """Makes the folder ours, or refuses."""
    same = {"blocks"}
    if (out / MANIFEST).is_file():
        found = read_manifest(out)
        changed = [k for k, v in manifest.model_dump(exclude=same).items() if getattr(found, k) != v]
        if changed:
            raise ConfigurationError(f"{out} holds features that differ in {', '.join(changed)}; choose another folder")
    elif out.exists() and any(out.iterdir()) and not (out / UNFINISHED).is_file():
        raise ConfigurationError(f"{out} is not empty and holds no features; choose another folder")
    else:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / UNFINISHED, manifest.model_dump_json(exclude=same) + "\n")
        trained.copy(out / CNN)


def _compute(jobs: list[dict[str, Any]], store: str, out: Path, recipe: Recipe, use_gpu: bool | None) -> Any:
    """Results of the jobs, as they are done."""
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    on_gpu = use_gpu if use_gpu is not None else gpus > 0
    if on_gpu and not gpus:
        raise ConfigurationError("--gpu: the Ray cluster has no GPU")
    size = min(len(jobs), gpus if on_gpu else int(resources["CPU"]))
    # the longest first, so that no CNN is left alone with one at the end
    ordered = sorted(jobs, key=lambda job: -job["num_rows"] * len(job["variants"]))
    dataset = ray.data.from_items(ordered, override_num_blocks=len(ordered)).map_batches(
        Extractor,
        batch_size=1,
        compute=ActorPoolStrategy(size=size),
        num_cpus=1,
        num_gpus=1 if on_gpu else 0,
        fn_constructor_kwargs={"store": store, "out": out, "recipe": recipe},
    )
    return dataset.iter_rows()


class Extractor:
    """A CNN in an actor; computes and writes the features of one block a call."""

    def __init__(self, store: str, out: Path, recipe: Recipe) -> None:
        torch.set_num_threads(1)
        self._store, self._out, self._recipe = Store(store), out, recipe
        self._cnn = checkpoint.load(out / CNN).cnn(local_device())
        self._variants = window_variants(self._store.image_size, recipe.augment)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        path, first, num_rows = str(batch["path"][0]), int(batch["first_row"][0]), int(batch["num_rows"][0])
        features: dict[str, dict[int, np.ndarray]] = {}
        images = self._store.images(np.arange(first, first + num_rows))
        for variant in batch["variants"][0].tolist():
            for task, values in self._view(images, self._variants, variant).items():
                features.setdefault(task, {})[variant] = values
        sha256 = write_features(self._out / BLOCKS / path, features, str(batch["key"][0]))
        return {"path": [path], "num_rows": [num_rows], "sha256": [sha256]}

    def _view(self, images: np.ndarray, variants: Variants, variant: int) -> dict[str, np.ndarray]:
        size = self._recipe.train.evaluation_batch_size
        parts = [
            view_features(self._cnn, part, variants, np.full(len(part), variant), self._recipe)
            for part in (images[i : i + size] for i in range(0, len(images), size))
        ]
        return {task: np.concatenate([part[task] for part in parts]) for task in parts[0]}
