"""What temporal teachers say of every frame of a store's videos, for `teach`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from abaw_ray.blocks.computed import BLOCKS, ComputedBlock, block_files, write_columns
from abaw_ray.blocks.integrity import find_damage
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.teacher_outputs import TeacherManifest
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.blockwise import spread
from abaw_ray.inference.ensemble_columns import ensemble_columns
from abaw_ray.inference.features import ComputedFeatures, RememberedFeatures
from abaw_ray.inference.predict import Progress, predict_windows, require_numbers
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.on_worker import on_worker
from abaw_ray.sampling.windows import covering_windows
from abaw_ray.storage import AnyPath
from abaw_ray.world import World, local_device


def frame_outputs(
    teachers: Sequence[Checkpoint],
    store: Store,
    out: AnyPath,
    recipe: Recipe,
    manifest: TeacherManifest,
    recorded: Sequence[ComputedBlock] | None,
    progress: Callable[[int, int], None] | None,
) -> list[ComputedBlock]:
    """Writes the blocks of the videos in `temporal.databases`, unless they are there as they were written.

    Args:
        teachers: temporal networks of the same tasks.
        store: where the videos are.
        out: a claimed folder.
        recipe: the students'.
        manifest: of the folder, without blocks.
        recorded: the blocks of a complete one.
        progress: called with frames done and frames in all.

    Raises:
        ConfigurationError: the store has none of the databases, or no video of them.
        UserError: of a worker.
    """
    if recorded is not None and not find_damage(block_files(out, recorded)):
        return list(recorded)
    codes = [store.databases.index(name) for name in recipe.temporal.databases if name in store.databases]
    if not len(_videos(store, codes)):
        raise ConfigurationError(
            f"temporal.databases: found {', '.join(recipe.temporal.databases)}, of which {store.path} has no videos"
        )
    paths = [teacher.path.resolve() for teacher in teachers]
    arguments = paths, store.path.resolve(), out.resolve(), codes, recipe, manifest
    blocks: list[ComputedBlock] = on_worker(_write, *arguments, progress=progress)
    return blocks


def _videos(store: Store, codes: Sequence[int]) -> np.ndarray:
    """Places of the videos of databases that have a face."""
    before = np.concatenate([[0], np.cumsum(store.index.has_face)])
    has_face = before[store.videos.stop] > before[store.videos.start]
    return np.flatnonzero(np.isin(store.videos.database, codes) & has_face)


def _write(
    teachers: Sequence[AnyPath],
    store_path: AnyPath,
    out: AnyPath,
    codes: Sequence[int],
    recipe: Recipe,
    manifest: TeacherManifest,
    progress: Callable[[int, int], None] | None,
) -> list[ComputedBlock]:
    """What `frame_outputs` does where the device is."""
    store = Store(store_path)
    videos = _videos(store, codes)
    starts, stops = store.videos.start[videos].astype(np.int64), store.videos.stop[videos].astype(np.int64)
    of_videos = [np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)]
    of_videos = [frames[store.index.has_face[frames]] for frames in of_videos]
    rows = np.concatenate(of_videos)
    store.verify(rows)
    lengths = np.array([len(frames) for frames in of_videos])
    firsts = np.cumsum(lengths) - lengths
    found = [checkpoint.load(teacher) for teacher in teachers]
    said = []
    for number, teacher in enumerate(found):

        def show(done: int, total: int, number: int = number) -> None:
            if progress is not None:
                progress(number * len(rows) + len(rows) * done // total, len(found) * len(rows))

        said.append(_logits(teacher, store, rows, firsts, recipe, show))
    columns = {name: values.numpy() for name, values in ensemble_columns(found[0].tasks(recipe), said).items()}
    require_numbers("outputs", columns, rows, store)
    place = np.full(len(store.index), -1)
    place[rows] = np.arange(len(rows))
    blocks = []
    for block in np.unique(store.index.block[rows]).tolist():
        entry, of_block = store.manifest.blocks[block], place[store.index.rows_of_block(block)]
        there = of_block >= 0
        part = {
            name: np.ascontiguousarray(spread(values[of_block[there]], there), np.float32)
            for name, values in columns.items()
        }
        sha256 = write_columns(out / BLOCKS / entry.path, part, manifest.key(entry.path))
        blocks.append(ComputedBlock(path=entry.path, num_rows=len(of_block), num_variants=1, sha256=sha256))
    return blocks


def _logits(
    teacher: Checkpoint, store: Store, rows: np.ndarray, firsts: np.ndarray, recipe: Recipe, show: Progress
) -> dict[str, Tensor]:
    """Task -> logits (n, outputs) of frames, from windows that cover each video.

    Args:
        teacher: a temporal network.
        store: where the frames are.
        rows: (n,) of the frames, video after video.
        firsts: (videos,) place of each video's first frame.
        recipe: batch size, precision.
        show: shows how far it is, in windows.
    """
    network = teacher.network(local_device())
    assert isinstance(network, TemporalNetwork), "as its description says"
    used = teacher.recipe.model_copy(update={"train": recipe.train})
    source = RememberedFeatures(ComputedFeatures(store, network.cnn, used), len(store.index))
    windows, owner = covering_windows(firsts, len(rows), teacher.recipe.temporal.window)
    world, tasks = World(device=local_device()), teacher.tasks(recipe)
    of_windows = predict_windows(network, tasks, source, rows[windows], recipe, world, show, decoded=False)
    return {task: torch.from_numpy(values).flatten(0, 1)[owner] for task, values in of_windows.items()}
