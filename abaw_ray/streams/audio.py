"""Sound around each sample as log-mel windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from abaw_ray.blocks.row_readers import FixedSizeRows, RowReader
from abaw_ray.config import AugmentConfig
from abaw_ray.streams.base import Stream
from abaw_ray.streams.kind import Cut, CutSettings, Kind

if TYPE_CHECKING:
    from torch import Tensor  # reading and writing samples does without

BANDS = 64
"""Mel bands."""


class AudioKind(Kind):
    """Natural logarithms of mel spectra (64 bands, size steps of 10 ms), around the moment of each sample; float16.

    The spectra are those of VGGish (Hershey et al., ICASSP 2017): magnitudes of periodic Hann windows of 25 ms at
    16 kHz, in 64 mel bands from 125 to 7500 Hz, plus 0.01. A row's path is that of a sound or video file. Its geometry
    is the second at which the window has its middle, by the container's clock; without one it is the moment at which
    the video shows the row's frame. What a window has before the beginning or after the end of the sound is silence;
    one without any sound in it is left out.
    """

    encodings = ("float16",)

    def shape(self, stream: Stream) -> tuple[int, ...]:
        return BANDS, stream.size

    def field(self, stream: Stream) -> pa.Field:
        return pa.field("log_mel", pa.list_(pa.float16(), BANDS * stream.size))

    def reader(self, stream: Stream, locate: Callable[[int], Path], num_rows: Sequence[int]) -> RowReader:
        return FixedSizeRows(locate, num_rows, self.field(stream), self.shape(stream), np.float16)

    def random_views(self, samples: Tensor, uniforms: Tensor, config: AugmentConfig) -> Tensor:
        from abaw_ray.augmentation.sounds import change_sounds

        return change_sounds(samples, uniforms, config)

    def cut(self, rows: pa.Table, root: Path, stream: Stream, settings: CutSettings) -> Cut:
        from abaw_ray.preprocess.sounds import cut_sounds  # only preparation needs what decodes sound and videos

        return cut_sounds(rows, root, stream, settings)


KIND = AudioKind()
