"""Vectors from files, as features that others have computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from abaw_ray.blocks.row_readers import FixedSizeRows, RowReader
from abaw_ray.errors import shortened
from abaw_ray.streams.base import Stream
from abaw_ray.streams.kind import Cut, CutSettings, Kind, NoSample, cut_by_file

TYPES = {"float32": (pa.float32(), np.float32), "float16": (pa.float16(), np.float16)}


class VectorKind(Kind):
    """Vectors (size,) from .npy files, kept as float32 or float16.

    A row's path is that of a file with one vector (size,), or with many (n, size): then its geometry is the vector's
    number; without one it is the row's frame.
    """

    encodings = tuple(TYPES)

    def shape(self, stream: Stream) -> tuple[int, ...]:
        return (stream.size,)

    def field(self, stream: Stream) -> pa.Field:
        return pa.field("vector", pa.list_(TYPES[stream.encoding][0], stream.size))

    def reader(self, stream: Stream, locate: Callable[[int], Path], num_rows: Sequence[int]) -> RowReader:
        return FixedSizeRows(locate, num_rows, self.field(stream), self.shape(stream), TYPES[stream.encoding][1])

    def cut(self, rows: pa.Table, root: Path, stream: Stream, settings: CutSettings) -> Cut:
        dtype = TYPES[stream.encoding][1]

        def cut_out(found: np.ndarray, geometry: list[float], frame: int) -> np.ndarray:
            return _vector(found, geometry[0] if geometry else frame, stream.size, dtype)

        return cut_by_file(rows, root, np.zeros((rows.num_rows, stream.size), dtype), _opened, cut_out)


def _opened(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise NoSample("missing_vector", "no such file") from None
    except Exception as error:  # NumPy's reader of damaged headers raises whatever comes
        raise NoSample("unreadable_vector", shortened(str(error))) from None


def _vector(found: np.ndarray, number: float, size: int, dtype: type[np.floating]) -> np.ndarray:
    if found.ndim not in (1, 2) or found.shape[-1] != size or found.dtype.kind not in "fiu":
        raise NoSample("bad_vector", f"found {found.dtype} of shape {found.shape}, expected numbers of ({size},)")
    if found.ndim == 2 and number not in range(len(found)):
        raise NoSample("missing_vector", f"found {len(found)} vectors, none of number {number:g}")
    with np.errstate(over="ignore"):
        vector = (found[int(number)] if found.ndim == 2 else found).astype(dtype)
    if not np.isfinite(vector).all():
        raise NoSample("bad_vector", f"a number that {np.dtype(dtype)} does not have")
    return vector


KIND = VectorKind()
