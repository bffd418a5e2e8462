"""Sound of audio and video files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from abaw_ray.errors import UserError
from abaw_ray.limits import LEAST_RATE, MOST_SECONDS, regular


class UnreadableSound(UserError, ValueError):
    """A file without sound that can be read."""


@dataclass(frozen=True)
class Sound:
    """A file's sound.

    Args:
        samples: (n,) float32 from -1 to 1, one channel: the mean of several.
        start: seconds, by the container's clock, at which the first sample is heard.
    """

    samples: np.ndarray
    start: float


def read_sound(path: Path, rate: int) -> Sound:
    """The first sound track of a file, resampled to `rate` samples a second.

    Raises:
        FileNotFoundError: no such file.
        UnreadableSound: no sound, or a part that cannot be read.
    """
    try:
        regular(path)
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise UnreadableSound("no sound track")
            if container.streams.audio[0].codec_context is None:
                raise UnreadableSound("a sound track of a codec that FFmpeg cannot decode")
            resampler = av.AudioResampler(format="fltp", rate=rate)  # to one channel it would mix by energy
            start, parts, seconds = None, [], 0.0
            for frame in container.decode(container.streams.audio[0]):
                start = frame.time if start is None else start
                if frame.sample_rate < LEAST_RATE:
                    raise UnreadableSound(f"{frame.sample_rate} samples a second, expected at least {LEAST_RATE:,}")
                seconds += frame.samples / frame.sample_rate
                if seconds > MOST_SECONDS:
                    raise UnreadableSound(f"a sound track of more than {MOST_SECONDS:,} seconds")
                parts += [part.to_ndarray().mean(0) for part in resampler.resample(frame)]
            parts += [part.to_ndarray().mean(0) for part in resampler.resample(None)]
    except FileNotFoundError:
        raise
    except (av.FFmpegError, OSError) as error:
        raise UnreadableSound(f"cannot be read ({error.strerror})") from None
    if not parts:
        raise UnreadableSound("a sound track without sound")
    return Sound(np.concatenate(parts), start or 0.0)
