"""What any network says of rows of a store that it need not have been trained on, in the store's label spaces."""

from __future__ import annotations

import logging

import numpy as np

from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.features import ComputedFeatures, RememberedFeatures
from abaw_ray.inference.predict import Predictions, Progress, predict_rows, predict_windows, require_numbers
from abaw_ray.models import checkpoint
from abaw_ray.models.checkpoint import Checkpoint
from abaw_ray.models.kinds import of_frames, streams_of
from abaw_ray.models.sets import FrameNetwork
from abaw_ray.models.temporal import TemporalNetwork
from abaw_ray.sampling.windows import covering_windows
from abaw_ray.spaces import LabelSpace
from abaw_ray.storage import AnyPath
from abaw_ray.tasks import targets
from abaw_ray.world import World, local_device

logger = logging.getLogger(__name__)


def shared_spaces(trained: Checkpoint, store: Store) -> dict[str, LabelSpace]:
    """Task -> its space in the network, of the target tasks that store and network have; the others are logged.

    The store's space may have more names than the network's. Open spaces, whose classes are those of their databases,
    are left out.

    Raises:
        ConfigurationError: none; or spaces of one name that mean something else, or names that the store's lacks.
    """
    own = {space.name: space for space in trained.description.spaces}
    shared, others = {}, []
    for name in targets(trained.tasks(trained.recipe)):
        space, theirs = own[name], store.spaces.get(name)
        if theirs is None or space.open:
            others.append(name)
            continue
        meanings = [(s.kind, s.level, s.low, s.high) for s in (space, theirs)]
        lacking = [label for label in space.names if label not in theirs.names]
        if meanings[0] != meanings[1] or lacking:
            found = f"{', '.join(lacking)} of {trained.path}" if lacking else f"a {space.kind} of {trained.path}"
            raise ConfigurationError(
                f"{name}: found {found}, expected what {store.path} has: {theirs.kind} of {theirs.level}s, "
                f"{theirs.low:g} to {theirs.high:g}, {', '.join(theirs.names)}"
            )
        shared[name] = space
    if others:
        logger.warning("%s has no labels of %s; left out", store.path, ", ".join(others))
    if not shared:
        raise ConfigurationError(f"{trained.path}: found no task that {store.path} has, too: {', '.join(store.spaces)}")
    return shared


def in_space(values: np.ndarray, own: LabelSpace, space: LabelSpace) -> np.ndarray:
    """Numbers (n, own size) in the order of a store's space (n, size) float32; NaN of names that the own one lacks."""
    found = np.full((len(values), space.size), np.nan, np.float32)
    found[:, space.places(own.names)] = values
    return found


def predictable_rows(trained: Checkpoint, store: Store, recipe: Recipe) -> np.ndarray:
    """Rows (n,), ascending, that a network can say something of, as they have one of its streams: all, or those of
    videos in `temporal.databases`.

    Raises:
        ConfigurationError: the store has no row with any of them, or no video of these databases.
    """
    streams = streams_of(trained.recipe.model)
    if of_frames(trained.description.kind):
        rows = np.flatnonzero(store.has_any(streams))
        if not len(rows):
            raise ConfigurationError(f"{store.path}: no row has what {trained.path} takes: {', '.join(streams)}")
        return rows
    codes = [store.databases.index(name) for name in recipe.temporal.databases if name in store.databases]
    of_videos = np.isin(store.index.database, [code for code in codes if store.sequential[code]])
    rows = np.flatnonzero(of_videos & store.has_any(streams))
    if not len(rows):
        raise ConfigurationError(
            f"temporal.databases: found {', '.join(recipe.temporal.databases)}, of which {store.path} has no videos"
        )
    return rows


def predict_stored(
    path: AnyPath, store_path: AnyPath, rows: np.ndarray, recipe: Recipe, progress: Progress | None = None
) -> Predictions:
    """Predictions of a checkpoint for the evaluation view of rows, on this process's device.

    Args:
        path: of the checkpoint.
        store_path: where the rows are.
        rows: (n,) of the index, ascending; for a temporal network of videos.
        recipe: zoom, batch size, precision and windows.
        progress: called with rows or windows done and in all.

    Raises:
        StoreError: a file is damaged.
        DivergedError: predictions that are no numbers.
    """
    trained, store = checkpoint.load(path), Store(store_path)
    network, world = trained.network(local_device()), World(device=local_device())
    tasks = trained.tasks(recipe)
    if isinstance(network, FrameNetwork):
        store.verify(rows, network.streams)
        predicted = predict_rows(network, tasks, store, rows, recipe, world, progress)
        require_numbers("predictions", predicted, rows, store)
        return predicted
    assert isinstance(network, TemporalNetwork), "a network of features"
    every, firsts = _frames_of_videos(store, rows)
    store.verify(every)
    source = RememberedFeatures(ComputedFeatures(store, network.cnn, recipe), len(store.index))
    windows, owner = covering_windows(firsts, len(every), recipe.temporal.window)
    covering = predict_windows(network, tasks, source, every[windows], recipe, world, progress)
    wanted = owner[np.searchsorted(every, rows)]
    predicted = {name: values.reshape(-1, values.shape[-1])[wanted] for name, values in covering.items()}
    require_numbers("predictions", predicted, rows, store)
    return predicted


def _frames_of_videos(store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All rows (m,), ascending, with a face, of the videos that `rows` are in, and the places (videos,) in them of the
    first."""
    video = store.videos.of_rows(len(store.index))
    every = np.flatnonzero(np.isin(video, np.unique(video[rows])) & store.index.has_face)
    return every, np.flatnonzero(np.diff(video[every], prepend=-1) != 0)
