"""Pictures that are there more than once, told by fingerprints that are taken while blocks are made."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterator

import cv2
import numpy as np

NUM_BITS = 64
"""Of a perceptual hash."""


def fingerprints(images: np.ndarray) -> np.ndarray:
    """Of images (n, size, size, 3) uint8: (n, 2) uint64, a hash of their pixels and a perceptual one.

    The perceptual hash (dHash) says of each two neighbours in a row of a grey picture of 9 x 8 pixels which is lighter:
    of pictures that differ in size, format or light few bits differ.
    """
    found = np.empty((len(images), 2), np.uint64)
    for number, image in enumerate(images):
        digest = hashlib.blake2b(image.data, digest_size=8).digest()
        small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA)
        bits = np.packbits(small[:, 1:] > small[:, :-1])
        found[number] = np.frombuffer(digest, "<u8")[0], bits.view("<u8")[0]
    return found


def to_text(found: np.ndarray) -> str:
    """Fingerprints (n, 2) as text."""
    return base64.b64encode(found.astype("<u8").tobytes()).decode()


def from_text(text: str) -> np.ndarray:
    """The inverse of `to_text`."""
    return np.frombuffer(base64.b64decode(text), "<u8").reshape(-1, 2)


def groups_of_duplicates(found: np.ndarray, num_bits: int | None) -> list[np.ndarray]:
    """Pictures that are the same, as places in `found`, group by group, each with two or more.

    Args:
        found: (n, 2) fingerprints.
        num_bits: in which perceptual hashes of the same picture may differ; None: it has the same pixels.
    """
    if not len(found):
        return []
    _, group = np.unique(found[:, 0], return_inverse=True)
    if num_bits is not None:
        group = _joined(group, found[:, 1], num_bits)
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return [part for part in parts if len(part) > 1]


def _joined(group: np.ndarray, hashes: np.ndarray, num_bits: int) -> np.ndarray:
    """Numbers of groups (n,), joined where two have pictures with hashes that are alike."""
    places_of: dict[int, list[int]] = defaultdict(list)
    for place, value in enumerate(hashes.tolist()):
        places_of[value].append(place)
    parent = list(range(int(group.max()) + 1))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def join(places: list[int]) -> None:
        for place in places[1:]:
            parent[root(int(group[place]))] = root(int(group[places[0]]))

    for places in places_of.values():
        join(places)
    different = np.array(list(places_of), np.uint64)
    for one, other in _alike(different, num_bits):
        join([places_of[int(different[one])][0], places_of[int(different[other])][0]])
    return np.array([root(number) for number in group.tolist()])


def _alike(hashes: np.ndarray, num_bits: int) -> Iterator[tuple[int, int]]:
    """Pairs of different hashes (n,) that differ in `num_bits` bits at most.

    Of num_bits + 1 parts of two such hashes one at least is the same: only hashes that share a part are compared.
    """
    for part in np.array_split(np.arange(NUM_BITS), num_bits + 1):
        mask = np.uint64(sum(1 << bit for bit in part.tolist()))
        same_part: dict[int, list[int]] = defaultdict(list)
        for place, value in enumerate((hashes & mask).tolist()):
            same_part[value].append(place)
        for places in same_part.values():
            for i, place in enumerate(places[:-1]):
                others = np.array(places[i + 1 :])
                distances = np.bitwise_count(hashes[others] ^ hashes[place])
                yield from ((place, int(other)) for other in others[distances <= num_bits])
