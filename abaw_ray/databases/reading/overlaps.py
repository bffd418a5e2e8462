"""Pictures that two databases have in common, byte for byte."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from abaw_ray.databases.base import MAX_EXAMPLES
from abaw_ray.databases.reading.names import file_name, printable

NUM_THREADS = 16  # waiting for a file server, not computing


@dataclass(frozen=True)
class Overlap:
    """What two databases have in common.

    Args:
        num_files: of the first one that are in the second one, too.
        examples: of pairs of files, as rows name them.
    """

    num_files: int
    examples: list[str]


def find_overlap(root: Path, names: Sequence[str], other_root: Path, other_names: Sequence[str]) -> Overlap:
    """The files of images that rows of two databases have in common; only files of one size are read.

    Args:
        root: of a database.
        names: of its files of images, below the root.
        other_root: of another database.
        other_names: of its files.
    """
    ours, theirs = _by_size(root, names), _by_size(other_root, other_names)
    common = sorted(ours.keys() & theirs.keys())
    of_theirs = _by_hash(other_root, (name for size in common for name in theirs[size]))
    pairs = [
        f"{printable(name)} and {printable(of_theirs[digest][0])}"
        for digest, names in _by_hash(root, (name for size in common for name in ours[size])).items()
        if digest in of_theirs
        for name in names
    ]
    return Overlap(len(pairs), sorted(pairs)[:MAX_EXAMPLES])


def _by_size(root: Path, names: Sequence[str]) -> dict[int, list[str]]:
    """Size in bytes -> files of that size; those that are not there are left out."""
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        sizes = threads.map(lambda name: _size(root / file_name(name)), names)
        found: dict[int, list[str]] = defaultdict(list)
        for name, size in zip(names, sizes, strict=True):
            if size is not None:
                found[size].append(name)
    return found


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None


def _by_hash(root: Path, names: Iterable[str]) -> dict[bytes, list[str]]:
    chosen = list(names)
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        digests = threads.map(lambda name: hashlib.sha256((root / file_name(name)).read_bytes()).digest(), chosen)
        found: dict[bytes, list[str]] = defaultdict(list)
        for name, digest in zip(chosen, digests, strict=True):
            found[digest].append(name)
    return found
