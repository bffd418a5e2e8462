"""What every model checks and does with the faces it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.model_info import DEVIATION, ModelInfo

BATCH = 64
"""Faces that an exported file without a window takes at a time: memory does not grow with their number."""


def output_names(info: ModelInfo) -> list[str]:
    """Names of a model's predictions, in their order: each task, after a regression its deviation."""
    names = []
    for space in info.spaces:
        names += [space.name, f"{space.name}{DEVIATION}"] if space.kind == "regression" else [space.name]
    return names


def predict_in_batches(
    info: ModelInfo, faces: np.ndarray, batch: int, predict: Callable[[np.ndarray], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """What `Model.predict` gives, from a function that predicts a few faces, or a window.

    Args:
        info: of the model.
        faces: as of `Model.predict`.
        batch: faces that it is given at a time; a window stays whole.
        predict: at least one face -> predictions by name.

    Raises:
        ConfigurationError: faces of another shape, or more than a window.
    """
    expected = (info.image_size, info.image_size, 3)
    if faces.ndim != 4 or faces.shape[1:] != expected or faces.dtype != np.uint8:
        shape = " x ".join(map(str, expected))
        raise ConfigurationError(f"faces: found {faces.shape} {faces.dtype}, expected n x {shape} uint8")
    if info.window is not None and len(faces) > info.window:
        raise ConfigurationError(f"faces: found {len(faces)}, expected at most a window of {info.window}")
    if not len(faces):
        sizes = {space.name: space.size for space in info.spaces}
        return {name: np.empty((0, sizes[name.removesuffix(DEVIATION)]), np.float32) for name in output_names(info)}
    parts = [predict(part) for part in _parts(faces, batch if info.window is None else len(faces))]
    return {name: np.concatenate([part[name] for part in parts]) for name in output_names(info)}


def _parts(faces: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(faces), size):
        yield faces[start : start + size]
