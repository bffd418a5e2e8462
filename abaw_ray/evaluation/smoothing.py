"""Smoothing of predictions over time, video by video."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from abaw_ray.errors import ConfigurationError

TRUNCATE = 4.0
"""Deviations after which a Gaussian ends."""


@dataclass(frozen=True)
class Smoothing:
    """A filter over the frames of a video.

    Args:
        kind: `median` or `gaussian`.
        width: frames of a median, odd; or the deviation of a Gaussian in frames.
    """

    kind: str
    width: float

    def __str__(self) -> str:
        return f"{self.kind}:{str(self.width).removesuffix('.0')}"

    @property
    def reach(self) -> int:
        """Frames on either side that it looks at."""
        return int(self.width // 2 if self.kind == "median" else TRUNCATE * self.width)

    def apply(self, values: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Smooths predictions (n, k) of videos one after the other, each by itself.

        At a video's ends the filter takes the frames there are.

        Args:
            values: (n, k), finite.
            starts: (videos,) first frame of each video, ascending, the first 0.
        """
        assert np.isfinite(values).all(), "predictions that are no numbers"
        videos = np.split(values, starts[1:])
        return np.concatenate([self._smooth(video) for video in videos])

    def _smooth(self, values: np.ndarray) -> np.ndarray:
        """One video's predictions (n, k), smoothed."""
        reach = min(self.reach, len(values) - 1)
        padded = np.pad(values, ((reach, reach), (0, 0)), constant_values=np.nan)
        around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
        if self.kind == "median":
            return np.nanmedian(around, axis=-1).astype(values.dtype)
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / self.width) ** 2) * np.isfinite(around)
        return ((np.nan_to_num(around) * weights).sum(-1) / weights.sum(-1)).astype(values.dtype)


CANDIDATES = tuple(
    Smoothing(kind, width)
    for kind, widths in (("median", (3, 5, 9, 15, 25)), ("gaussian", (1, 2, 4, 8)))
    for width in widths
)
"""What is tried when the smoothing is tuned on validation."""


def parse_smoothing(text: str) -> Smoothing:
    """`median:N` (N frames, odd, at least 3) or `gaussian:S` (deviation of S frames).

    Raises:
        ConfigurationError: anything else.
    """
    kind, _, number = text.partition(":")
    try:
        width = float(number)
    except ValueError:
        width = math.nan
    odd = width >= 3 and width % 2 == 1
    if not math.isfinite(width) or not ((kind == "median" and odd) or (kind == "gaussian" and width > 0)):
        raise ConfigurationError(
            f"smoothing {text!r}: expected median:N with N odd and at least 3, or gaussian:S, S > 0"
        )
    return Smoothing(kind, width)
