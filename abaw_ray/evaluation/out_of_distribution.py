"""How well a network's uncertainty tells what it was not trained on from what it is evaluated on.

The measure is the area under the ROC curve (AUROC): the probability that an image of the other kind is more uncertain
than one of the evaluation's, half for a tie. 0.5: nothing is noticed; below: the network is more certain of the others.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.made_sets import CHANGES, ChangedStore
from abaw_ray.sampling.windows import covering_windows

MOST_FRAMES = 5_000
"""Of each set: with so many in two sets, chance moves an AUROC by a hundredth at most."""

SEED = 0
"""Of the made images."""

OWN = "own"
"""Name of the set of the evaluation's images."""


def auroc(own: np.ndarray, other: np.ndarray) -> float:
    """Area under the ROC curve of uncertainties of the evaluation's images (n,) and of others (m,)."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([other, own]))[: len(other)]
    return float((ranks.mean() - (len(other) + 1) / 2) / len(own))


def image_sets(
    store: Store, items: np.ndarray, has_images: bool, other: str | None, takes: np.ndarray | None = None
) -> Iterator[tuple[str, Store, np.ndarray]]:
    """The evaluation's images, and others.

    Args:
        store: the evaluation's.
        items: rows (k,) of it that the evaluation is about, or windows (k, frames) of them.
        has_images: whether the network takes images: they are changed (see `made_sets`), else there is no such set.
        other: a database of the store as another domain, whose frames then do not count among the evaluation's.
        takes: (rows,) bool, which rows of the store have something that the network takes; None: all.

    Yields:
        Name of a set, the store that shows it, and its rows or windows: at most 5,000 frames, evenly among all. The
        evaluation's own is the first.

    Raises:
        ConfigurationError: the store has no database `other`, or no image of it, or nothing else is evaluated.
    """
    own = items
    if other is not None:
        own = items[store.index.database[items.reshape(len(items), -1)[:, 0]] != code_of(store, other)]
        if not len(own):
            raise ConfigurationError(f"--other-domain {other}: all frames evaluated are of it; expected another one")
    own = _spread(own)
    yield OWN, store, own
    if has_images:
        for name, change in CHANGES.items():
            yield name, ChangedStore(store, change, SEED), own
    if other is not None:
        of_other = store.index.database == code_of(store, other)
        rows = np.flatnonzero(of_other if takes is None else of_other & takes)
        if not len(rows):
            raise ConfigurationError(f"--other-domain {other}: {store.path} has no image of it")
        if own.ndim == 2:
            videos = store.index.videos.indices.to_numpy()[rows]
            starts = np.flatnonzero(np.diff(videos, prepend=-1))
            rows = rows[covering_windows(starts, len(rows), own.shape[1])[0]]
        yield other, store, _spread(rows)


def code_of(store: Store, database: str) -> int:
    """The index's code of a database.

    Raises:
        ConfigurationError: the store does not have it.
    """
    if database not in store.databases:
        raise ConfigurationError(f"--other-domain {database}: not in {store.path}; found {', '.join(store.databases)}")
    return store.databases.index(database)


def _spread(items: np.ndarray) -> np.ndarray:
    """At most `MOST_FRAMES` frames' worth of rows or windows, evenly among all."""
    most = max(1, MOST_FRAMES // (items.size // len(items)))
    if len(items) <= most:
        return items
    return items[np.arange(most) * len(items) // most]
