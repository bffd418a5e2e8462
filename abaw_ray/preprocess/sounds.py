"""Log-mel windows of sound around moments."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from abaw_ray.sound import Sound, UnreadableSound, read_sound
from abaw_ray.streams.audio import BANDS
from abaw_ray.streams.base import Stream
from abaw_ray.streams.kind import Cut, CutSettings, NoSample, cut_by_file
from abaw_ray.video import UnreadableVideo, frame_times

RATE = 16_000
"""Samples a second."""
WINDOW, HOP, LENGTH = 400, 160, 512
"""Samples of a spectrum's window (25 ms), from one to the next (10 ms), and of the Fourier transform."""
LOWEST, HIGHEST = 125.0, 7500.0
"""Range of the mel bands in Hz."""
OFFSET = 0.01
"""Added to magnitudes before the logarithm."""


def cut_sounds(rows: pa.Table, root: Path, stream: Stream, settings: CutSettings) -> Cut:
    """See `Kind.cut`."""

    def cut_out(file: _File, geometry: list[float], frame: int) -> np.ndarray:
        middle = file.second(geometry, frame)
        part = window(file.sound, middle, stream.size)
        if part is None:
            raise NoSample("outside_the_sound", f"{middle:.2f} s")
        return log_mel(part)

    windows = np.zeros((rows.num_rows, BANDS, stream.size), np.float16)
    return cut_by_file(rows, root, windows, _File, cut_out)


class _File:
    """A file's sound, and its frames' times if they are asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.sound = read_sound(path, RATE)
        except FileNotFoundError:
            raise NoSample("missing_sound", "no such file") from None
        except UnreadableSound as error:
            raise NoSample("unreadable_sound", str(error)) from None

    def second(self, geometry: list[float], frame: int) -> float:
        """The moment that a row is of."""
        if len(geometry) > 1 or not np.isfinite(geometry).all():
            raise NoSample("bad_geometry", f"{geometry}, expected seconds")
        if geometry:
            return geometry[0]
        if frame >= len(self._times):
            raise NoSample("unreadable_frame", f"frame {frame} of {len(self._times)}")
        return float(self._times[frame])

    @cached_property
    def _times(self) -> np.ndarray:
        try:
            return frame_times(self._path)
        except UnreadableVideo as error:
            raise NoSample("unreadable_frame", str(error)) from None


def window(sound: Sound, middle: float, steps: int) -> np.ndarray | None:
    """The samples (n,) that `steps` spectra around a moment take, zeros outside of the sound; None: it has none.

    Args:
        sound: at `RATE`.
        middle: seconds, by the container's clock.
        steps: number of spectra.
    """
    num_samples = WINDOW + (steps - 1) * HOP
    first = round((middle - sound.start) * RATE) - num_samples // 2
    inside = sound.samples[max(first, 0) : max(first + num_samples, 0)]
    if not len(inside):
        return None
    before = max(-first, 0)
    return np.pad(inside, (before, num_samples - before - len(inside)))


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Logarithms (64, steps) float32 of the mel spectra of samples (400 + 160 (steps - 1),) at 16 kHz."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    magnitudes = np.abs(np.fft.rfft(frames * hann, LENGTH))
    return np.log(magnitudes @ mel_filters() + OFFSET).T.astype(np.float32)


@lru_cache(1)
def mel_filters() -> np.ndarray:
    """(257, 64) weights of the Fourier transform's bins in triangular bands, equally spaced on the mel scale."""
    bins = _mel(np.arange(LENGTH // 2 + 1) * RATE / LENGTH)
    edges = np.linspace(_mel(np.array(LOWEST)), _mel(np.array(HIGHEST)), BANDS + 2)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    filters = np.clip(np.minimum(rising, falling), 0, None)
    filters[0] = 0  # the constant part
    return filters


def _mel(hertz: np.ndarray) -> np.ndarray:
    return 1127 * np.log1p(hertz / 700)
