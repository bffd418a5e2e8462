"""How far an exported file is from its run: the largest difference of any prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from abaw_ray.blocks.reader import Store
from abaw_ray.errors import ConfigurationError, DivergedError
from abaw_ray.inference.model_info import DEVIATION, Model, ModelInfo

LIMIT = 1e-3
"""Of a probability, or of half the range of a regression."""
NUM_RANDOM = 48
SEED = 0


def differences(run: Model, file: Model, faces: np.ndarray) -> dict[str, float]:
    """Output -> largest difference between a run's and a file's predictions of faces (n, size, size, 3).

    Those of a regression are in parts of half its range. A model with a window is given windows of every other length,
    down to one frame.

    Raises:
        DivergedError: the run's predictions are no numbers.
    """
    units = _units(run.info)
    largest = dict.fromkeys(units, 0.0)
    for part in _parts(run.info, faces):
        expected, found = run.predict(part), file.predict(part)
        for name, unit in units.items():
            if not np.isfinite(expected[name]).all():
                raise DivergedError(f"{run.info.source}: {name} is no number: the network has diverged")
            difference = np.abs(expected[name].astype(np.float64) - found[name]).max() / unit
            largest[name] = float(np.fmax(largest[name], np.inf if np.isnan(difference) else difference))
    return largest


def require_parity(found: Mapping[str, float]) -> None:
    """Refuses a file that is too far from its run.

    Raises:
        ConfigurationError: an output differs by more than `LIMIT`.
    """
    wrong = {name: value for name, value in found.items() if not value <= LIMIT}
    if wrong:
        named = ", ".join(f"{name} by {value:.1e}" for name, value in wrong.items())
        raise ConfigurationError(
            f"the exported file predicts otherwise than the run: {named}; expected at most {LIMIT:g}; nothing is kept"
        )


def random_faces(info: ModelInfo, count: int = NUM_RANDOM) -> np.ndarray:
    """Noise, flat colours and gradients (count, size, size, 3) uint8, always the same."""
    rng = np.random.default_rng(SEED)
    size = info.image_size
    coarse = rng.integers(0, 256, (count, 2, 2, 3)).astype(np.float64)
    steps = np.linspace(0, 1, size)
    across = coarse[:, :, :1] * (1 - steps)[:, None] + coarse[:, :, 1:] * steps[:, None]
    smooth = across[:, :1] * (1 - steps)[:, None, None] + across[:, 1:] * steps[:, None, None]
    faces = smooth.astype(np.uint8)
    faces[::3] = rng.integers(0, 256, faces[::3].shape)
    faces[1::3] = coarse[1::3, :1, :1].astype(np.uint8)
    return faces


def store_faces(store: Store, info: ModelInfo, count: int) -> np.ndarray:
    """Up to `count` faces of a store, evenly spread over its rows and always the same; consecutive rows by window.

    Raises:
        ConfigurationError: faces of another size.
    """
    require_size(store, info)
    faces = np.flatnonzero(store.index.has_face)
    return store.images(faces[spread_rows(len(faces), count, info.window or 1)])


def spread_rows(num_rows: int, count: int, length: int) -> np.ndarray:
    """Up to `count` rows (n,) in stretches of `length`, evenly spread."""
    num_stretches = -(-min(count, num_rows) // length)
    starts = np.linspace(0, max(0, num_rows - length), num_stretches).astype(np.int64)
    rows = (starts[:, None] + np.arange(min(length, num_rows))).reshape(-1)
    return rows[:count]


def require_size(store: Store, info: ModelInfo) -> None:
    """That a store's faces have the size that a model takes.

    Raises:
        ConfigurationError: they have not.
    """
    if store.image_size != info.image_size:
        raise ConfigurationError(
            f"{store.path}: faces of {store.image_size} pixels, expected {info.image_size} as {info.source} takes them"
        )


def _units(info: ModelInfo) -> dict[str, float]:
    units = {}
    for space in info.spaces:
        units[space.name] = 1.0
        if space.kind == "regression":
            units[space.name] = units[f"{space.name}{DEVIATION}"] = (space.high - space.low) / 2
    return units


def _parts(info: ModelInfo, faces: np.ndarray) -> Iterator[np.ndarray]:
    """All faces together, or windows: whole ones, and the first one's beginnings."""
    if info.window is None:
        yield faces
        return
    for start in range(0, len(faces), info.window):
        yield faces[start : start + info.window]
    for length in range(1, min(info.window, len(faces)), 2):
        yield faces[:length]
