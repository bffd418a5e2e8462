"""A picture with what a model says of its faces drawn upon it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from abaw_ray.blocks.files import atomic_path
from abaw_ray.inference.media.drawing import annotate
from abaw_ray.inference.model_info import ModelInfo

QUALITY = 92


def write_annotated_picture(image: np.ndarray, rows: Sequence[dict[str, Any]], info: ModelInfo, out: Path) -> None:
    """Writes a JPEG file, whole or not at all.

    Args:
        image: (H, W, 3) uint8 RGB.
        rows: of this picture, each with the columns of `answers_schema`.
        info: of the model.
        out: the file.

    Raises:
        StorageError: the disk is full, or cannot be written.
    """
    import cv2

    drawn = cv2.cvtColor(annotate(image, rows, info), cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    with atomic_path(out) as temporary:
        temporary.write_bytes(content.tobytes())
