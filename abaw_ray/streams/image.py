"""Images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from abaw_ray.blocks.row_readers import FixedSizeRows, JpegImages, RowReader
from abaw_ray.config import AugmentConfig
from abaw_ray.streams.base import Stream
from abaw_ray.streams.kind import Cut, CutSettings, Kind

if TYPE_CHECKING:
    from torch import Tensor  # reading and writing samples does without


class ImageKind(Kind):
    """RGB images (3, size, size) uint8, kept row by row (`raw`) or as JPEG files.

    A row's path is that of an image, or of the video that its frame is a frame of. All images of a sample have the same
    random crop, as a part of what zooming has added, the same flip, and the same changes by `augment`.
    """

    encodings = ("raw", "jpeg")

    def shape(self, stream: Stream) -> tuple[int, ...]:
        return 3, stream.size, stream.size

    def field(self, stream: Stream) -> pa.Field:
        num_bytes = stream.size * stream.size * 3
        return pa.field("image", pa.list_(pa.uint8(), num_bytes) if stream.encoding == "raw" else pa.large_binary())

    def reader(self, stream: Stream, locate: Callable[[int], Path], num_rows: Sequence[int]) -> RowReader:
        reads = FixedSizeRows if stream.encoding == "raw" else JpegImages
        return reads(locate, num_rows, self.field(stream), (stream.size, stream.size, 3), np.uint8)

    def random_views(self, samples: Tensor, uniforms: Tensor, config: AugmentConfig) -> Tensor:
        from abaw_ray.augmentation import random_views
        from abaw_ray.augmentation.operations import change_images

        return change_images(random_views(samples, uniforms, config), uniforms, config)

    def centre_views(self, samples: Tensor, config: AugmentConfig) -> Tensor:
        from abaw_ray.augmentation import centre_views

        return centre_views(samples, config)

    def evaluation_views(self, samples: Tensor, number: int, config: AugmentConfig) -> Tensor:
        from abaw_ray.augmentation import evaluation_views

        return evaluation_views(samples, number, config) if number else self.centre_views(samples, config)

    def cut(self, rows: pa.Table, root: Path, stream: Stream, settings: CutSettings) -> Cut:
        from abaw_ray.preprocess.images import cut_images  # only preparation needs what decodes pictures and videos

        return cut_images(rows, root, stream, settings)

    def cut_together(self, parts: Sequence[tuple[pa.Table, Stream]], root: Path, settings: CutSettings) -> list[Cut]:
        from abaw_ray.preprocess.images import cut_together

        return cut_together(parts, root, settings)


KIND = ImageKind()
