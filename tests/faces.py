"""The stream of faces, as stores of tests have it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor

from abaw_ray.models.sets import Streams
from abaw_ray.streams.base import FACE, Stream
from abaw_ray.streams.image import KIND
from abaw_ray.streams.kind import Cut, CutSettings


def face(size: int, encoding: str = "raw", crop: str = "whole") -> Stream:
    """Faces of `size` pixels."""
    return Stream(name=FACE, kind="image", size=size, encoding=encoding, crop=crop)


def face_field(size: int, encoding: str = "raw") -> pa.Field:
    """Column of blocks with faces."""
    return KIND.field(face(size, encoding))


def cut_faces(
    rows: pa.Table, root: Path, crop: str, size: int, encoding: str = "raw", settings: CutSettings | None = None
) -> Cut:
    """The faces of planned rows; see `streams.kind.Kind.cut`."""
    return KIND.cut(rows, root, face(size, encoding, crop), settings or CutSettings())


def as_streams(views: Tensor) -> Streams:
    """Views of faces as networks take them."""
    return Streams({FACE: views}, {FACE: torch.ones(len(views), dtype=torch.bool, device=views.device)})
