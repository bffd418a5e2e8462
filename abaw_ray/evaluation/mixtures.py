"""What several networks say of the same frames, or one says of several views of them, put together.

It is the mixture of their distributions, as of an ensemble of teachers (`teachers.ensemble`): of classes and attributes
the weighted mean of the probabilities; of a regression the weighted mean of the values, with the deviation of the
mixture, whose variance is the mean of the variances and the variance of the means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from abaw_ray.inference.model_info import DEVIATION
from abaw_ray.inference.predict import Predictions

Weights = Mapping[str, Sequence[float]]
"""Task -> the weight of each part, not negative, 1 in sum; of a task that is not there all weigh the same."""


@dataclass(frozen=True)
class Predicted:
    """Predictions of one network, or of several together.

    Args:
        frames: for every frame of the evaluation.
        windows: of a temporal network: for the gap-free windows of each task, frame by frame.
    """

    frames: Predictions
    windows: Predictions | None = None


def mixed(parts: Sequence[Predicted], weights: Weights | None = None) -> Predicted:
    """Several predictions as one. Windows are there if all have them; those of one part are left as they are.

    Args:
        parts: of the same tasks and frames, at least one; of the same windows, where all have some.
        weights: of each; None: equal.
    """
    windows = [part.windows for part in parts if part.windows is not None]
    frames = mixture([part.frames for part in parts], weights)
    return Predicted(frames, mixture(windows, weights) if len(windows) == len(parts) else None)


def mixture(parts: Sequence[Predictions], weights: Weights | None = None) -> Predictions:
    """As `mixed`, of predictions of the same frames."""
    if len(parts) == 1:
        return parts[0]
    found = {}
    for name in parts[0]:
        task = name.removesuffix(DEVIATION)
        of_parts = (weights or {}).get(task, [1 / len(parts)] * len(parts))
        mean = _mean([part[task] for part in parts], of_parts)
        if name == task:
            found[name] = mean.astype(np.float32)
        else:
            squares = [part[name].astype(np.float64) ** 2 + (part[task] - mean) ** 2 for part in parts]
            found[name] = np.sqrt(_mean(squares, of_parts)).astype(np.float32)
    return found


def _mean(values: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Weighted mean in float64 of arrays of one shape."""
    total = np.zeros(values[0].shape)
    for of_part, weight in zip(values, weights, strict=True):
        total += weight * of_part.astype(np.float64)
    return total
