"""Ids of images, which follow from what they are of, and random numbers that follow from ids. NumPy only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

FRAME_STRIDE = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: the ids of a video's frames lie far from each other, and from those of other videos."""


def image_ids(videos: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """(n,) uint64 of frames (n,) of videos with ids (n,), as of `video_ids`."""
    return videos + frames.astype(np.uint64) * FRAME_STRIDE


def video_ids(names: Iterable[tuple[str, str]]) -> np.ndarray:
    """(n,) uint64 of videos, or photos, by database and name: the same wherever in a store they are."""
    return np.array([_hashed(f"{database}/{video}") for database, video in names], np.uint64)


def uniforms_of(ids: np.ndarray, key: str, count: int) -> np.ndarray:
    """Random numbers (n, count) float64 in [0, 1) of ids (n,) uint64; other keys give others."""
    keyed = scrambled(ids + np.uint64(_hashed(key)))
    return (scrambled(keyed[:, None] + np.arange(count, dtype=np.uint64)) >> np.uint64(11)) * 2.0**-53


def scrambled(bits: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit numbers whose values look random (the SplitMix64 generator's step)."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
