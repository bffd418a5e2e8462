"""What the writers of the layouts hand back: the truth of every face, label lines and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, get_type_hints

import cv2
import numpy as np
import pyarrow as pa

from abaw_ray.synthetic.labels import ACTION_UNITS

NO_EXPRESSION = -1
NO_ACTION_UNITS = [-1] * len(ACTION_UNITS)


class FaceTruth(NamedTuple):
    """One face of one picture, as it was drawn, beside what its label file says about it."""

    database: str
    video: str
    """Track, clip or photo: the name under which our adapters group its rows."""
    frame: int
    """0-based label row of a track, number of a clip's frame, or place of a face among its photo's label lines."""
    image: str
    """Picture, relative to the database's folder."""
    identity: int
    """Number of the person in this database."""
    expression: int
    """Index in `EXPRESSIONS`; -1: none of them, or no face at all."""
    intensity: float
    valence: float
    arousal: float
    action_units: list[int]
    """0 or 1, as `ACTION_UNITS`; all -1 where `expression` is -1."""
    has_expression_label: bool
    """There is a label file with a line for it, usable or not."""
    has_va_label: bool
    has_au_label: bool
    expression_invalid: bool
    """The line says that there is no label, or names a class outside the seven."""
    va_invalid: bool
    """The line says that there is no valence, no arousal, or neither."""
    au_invalid: bool
    """The line leaves out some or all units."""
    expression_noisy: bool
    """The written class is valid and not `expression`."""
    va_noisy: bool
    """The written values differ from the truth by more than the rounding of the label file."""
    au_noisy: bool
    """The written units are valid, and some differ from `action_units`."""
    image_missing: bool
    """There is no picture, whatever label lines there are."""


_ARROW = {
    str: pa.string(),
    int: pa.int32(),
    float: pa.float32(),
    bool: pa.bool_(),
    list[int]: pa.list_(pa.int8(), len(ACTION_UNITS)),
}
TRUTH_SCHEMA = pa.schema([(name, _ARROW[kind]) for name, kind in get_type_hints(FaceTruth).items()])


@dataclass
class Written:
    """What was written for a part of a database.

    Args:
        lines: label file (relative to the database's folder) -> its lines of this part, where parts share a file.
    """

    truth: list[FaceTruth] = field(default_factory=list)
    lines: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


def truth_table(truth: Sequence[FaceTruth]) -> pa.Table:
    columns = zip(*truth, strict=True)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, TRUTH_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=TRUTH_SCHEMA)


def write_jpeg(file: Path, picture: np.ndarray, quality: int) -> None:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    file.write_bytes(data.tobytes())


def write_png(file: Path, picture: np.ndarray) -> None:
    _, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    file.write_bytes(data.tobytes())
