"""Whether the numbers in a store's files are places that there are: hashes tell of damage, not of who wrote them.

Without it, a place beyond a dictionary ends Arrow, and the process with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from abaw_ray.blocks.index import Index
from abaw_ray.blocks.labels import NOT_KNOWN, Labels
from abaw_ray.blocks.manifest import BlockEntry, Manifest
from abaw_ray.databases.schemas import LabelKey
from abaw_ray.errors import StoreError
from abaw_ray.spaces import LabelSpace, Split
from abaw_ray.storage import AnyPath


def require_within(path: AnyPath, what: str, numbers: np.ndarray, stop: int, start: int = 0) -> None:
    """Refuses a file with numbers below `start`, or from `stop` on.

    Args:
        path: of the file.
        what: the numbers are, for the message.
        numbers: (n,) integers.
        stop: one more than the largest.
        start: the smallest.

    Raises:
        StoreError: there is one.
    """
    if not len(numbers):
        return
    lowest, highest = int(numbers.min()), int(numbers.max())
    if lowest < start or highest >= stop:
        found = f"{what} from {lowest} to {highest}, expected {start} to {stop - 1}"
        raise StoreError(f"{path}: found {found}; prepare the store again")


def require_ascending(path: AnyPath, what: str, numbers: np.ndarray, strictly: bool) -> None:
    """Refuses a file with numbers (n,) that do not ascend.

    Raises:
        StoreError: they do not.
    """
    steps = np.diff(numbers)
    if (steps < int(strictly)).any():
        raise StoreError(f"{path}: found {what} that do not ascend; prepare the store again")


def check_index(path: AnyPath, index: Index, manifest: Manifest) -> None:
    """Refuses an index with places that the store does not have.

    Raises:
        StoreError: it has some.
    """
    require_within(path, "databases", index.database, len(manifest.databases))
    require_within(path, "blocks", index.block, len(manifest.blocks))
    require_ascending(path, "blocks", index.block, strictly=False)
    require_ascending(path, "databases", index.database, strictly=False)
    check_places(path, index.block, index.row, manifest.blocks, start=-1)


def check_places(
    path: AnyPath, block: np.ndarray, row: np.ndarray, blocks: Sequence[BlockEntry], start: int = 0
) -> None:
    """Refuses rows (n,) that their blocks (n,) do not have.

    Raises:
        StoreError: there is one.
    """
    require_within(path, "blocks", block, len(blocks))
    if len(row):
        require_within(path, "rows of a block", row, int(max(entry.num_rows for entry in blocks)), start)
        beyond = row >= np.array([entry.num_rows for entry in blocks])[block]
        if beyond.any():
            place = int(np.argmax(beyond))
            entry = blocks[int(block[place])]
            found = f"row {int(row[place])} of {entry.path}, which has {entry.num_rows}"
            raise StoreError(f"{path}: found {found}; prepare the store again")


def check_labels(
    path: AnyPath, labels: Mapping[LabelKey, Labels], spaces: Mapping[str, LabelSpace], num_items: Mapping[str, int]
) -> None:
    """Refuses labels of rows, or of clips, that there are not, or of classes or splits that there are not.

    Args:
        path: of the store.
        labels: by space and annotator.
        spaces: of the store.
        num_items: level of labels -> rows, or clips.

    Raises:
        StoreError: there is one.
    """
    for (name, annotator), found in labels.items():
        space, what = spaces[name], f"labels of {name}" + (f" by {annotator}" if annotator else "")
        require_within(path, f"rows with {what}", found.rows, num_items[space.level])
        require_ascending(path, f"rows with {what}", found.rows, strictly=True)
        require_within(path, f"splits of {what}", found.splits, max(Split) + 1)
        if found.values.ndim == 1:
            require_within(path, f"classes of {what}", found.values, space.size, NOT_KNOWN)
