"""Which rows of a store a probe learns from, and which it is tested on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from abaw_ray.blocks.columns import labels_named
from abaw_ray.blocks.labels import NOT_KNOWN, largest_class
from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.spaces import LabelSpace, Split

MOST_ROWS = 10_000
"""Of each half; of more, as many are drawn."""


@dataclass(frozen=True)
class ProbeRows:
    """The two halves.

    Args:
        learned, tested: (n,) rows of the store's index, none in both.
        learned_classes, tested_classes: (n,) int64, places in `names`.
        names: of the classes; both halves have each, unless rows had to be drawn.
        by: what the halves share none of: `clip`, a text that names of videos have in common, `video`, or `frame`.
        with_scored: whether rows that the tasks are scored by had to be among them.
        num_without: rows left out as nothing is known of them, or as all of their class is one clip or video; not those
            that tasks are scored by.
    """

    learned: np.ndarray
    tested: np.ndarray
    learned_classes: np.ndarray
    tested_classes: np.ndarray
    names: tuple[str, ...]
    by: str
    with_scored: bool
    num_without: int

    @property
    def chance(self) -> float:
        """Accuracy of always naming the class that is most frequent where probes learn."""
        most = np.bincount(self.learned_classes).argmax()
        return float((self.tested_classes == most).mean())


def probe_rows(store: Store, space: str, scored: Iterable[str], clips: str | None = None, seed: int = 0) -> ProbeRows:
    """Halves the rows of a store that have a label of a space, class by class.

    Rows with a validation or test label of a task that is scored are left out, as are their videos, unless fewer than
    two classes would be left. A class's clips, videos, or, where no class has two of these, frames are halved in the
    order of their hashes.

    Args:
        store: whose rows.
        space: a multiclass label space of the store, `subject` or `database`.
        scored: the tasks.
        clips: a regular expression; rows of videos (of photos, paths) in which it finds the same text are one clip.
        seed: of the draw.

    Raises:
        ConfigurationError: no such space, one of another kind, or no regular expression.
        StoreError: fewer than two classes can be halved.
    """
    found, classes = _classes(store, space)
    labelled = np.flatnonzero(classes != NOT_KNOWN)
    groups, by = _groups(store, clips)
    others = labelled[~np.isin(groups[labelled], groups[_scored(store, scored)])]
    for rows, with_scored in ((others, False), (labelled, True)):
        for of_group, name in ((groups, by), (np.arange(len(groups)), "frame")):
            chosen, is_first = _halved(of_group[rows], classes[rows], seed)
            kept = np.unique(classes[rows[chosen]])
            if len(kept) >= 2:
                learned, tested = (_drawn(rows[chosen & half], seed) for half in (is_first, ~is_first))
                return ProbeRows(
                    learned=learned,
                    tested=tested,
                    learned_classes=np.searchsorted(kept, classes[learned]),
                    tested_classes=np.searchsorted(kept, classes[tested]),
                    names=tuple(found.names[k] for k in kept.tolist()),
                    by=name,
                    with_scored=with_scored,
                    num_without=len(groups) - len(labelled) + len(rows) - int(chosen.sum()),
                )
    raise StoreError(f"{store.path}: fewer than two classes of {space} have two rows, which probes would be tested on")


def _classes(store: Store, space: str) -> tuple[LabelSpace, np.ndarray]:
    """A space, and the class (rows,) int64 of each row in it; NOT_KNOWN where it has none."""
    num_rows = len(store.index)
    labels = labels_named(store, space, np.arange(num_rows), "--space")
    classes = np.full(num_rows, NOT_KNOWN, np.int64)
    if space not in store.spaces:
        classes[labels.labels.rows] = labels.labels.values
        return labels.space, classes
    if labels.space.kind != "multiclass":
        raise ConfigurationError(f"--space {space}: found a {labels.space.kind}, expected classes")
    rows = np.flatnonzero(labels.splits_of(np.arange(num_rows)) != Split.NONE)
    for part in np.array_split(rows, len(rows) // MOST_ROWS + 1):
        classes[part] = largest_class(labels.of(part)[0])
    return labels.space, classes


def _groups(store: Store, clips: str | None) -> tuple[np.ndarray, str]:
    """Number (rows,) int64 of what each row belongs to, and what that is."""
    videos, database = store.index.videos, store.index.database.astype(np.int64)
    names, code = videos.dictionary.to_pylist(), videos.indices.to_numpy().astype(np.int64)
    if clips is None:
        return database * len(names) + code, "video"
    try:
        search = re.compile(clips).search
    except re.error as error:
        raise ConfigurationError(f"--clips {clips}: no regular expression ({error})") from None
    texts = [found.group() if (found := search(name)) is not None else name for name in names]
    different, place = np.unique(np.array(texts, object), return_inverse=True)
    return database * len(different) + place[code], "clip"


def _scored(store: Store, tasks: Iterable[str]) -> np.ndarray:
    """Rows (n,) with a label that some of the tasks is scored by."""
    known = [store.labels(task) for task in tasks if task in store.spaces]
    return np.unique(
        np.concatenate([labels.rows_with(split) for labels in known for split in (Split.VALIDATION, Split.TEST)])
        if known
        else np.empty(0, np.int64)
    )


def _halved(groups: np.ndarray, classes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which rows (n,) are of a class with two groups, and which of them are in the first half of its groups."""
    chosen, first = np.zeros(len(groups), bool), np.zeros(len(groups), bool)
    order = np.lexsort((groups, classes))
    bounds = np.flatnonzero(np.diff(classes[order])) + 1
    for rows in np.split(order, bounds):
        own = np.unique(groups[rows])
        if len(own) >= 2:
            shuffled = sorted(own.tolist(), key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
            chosen[rows] = True
            first[rows] = np.isin(groups[rows], shuffled[: (len(own) + 1) // 2])
    return chosen, first


def _drawn(rows: np.ndarray, seed: int) -> np.ndarray:
    """At most MOST_ROWS of some rows, ascending."""
    if len(rows) <= MOST_ROWS:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))
