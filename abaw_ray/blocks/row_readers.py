"""Rows of a store's blocks by position, in any order, with memory and open files that do not grow with the store.

Rows are read from the files (`preadv`) straight into the result, not through a memory map: random rows come as fast,
rows in order faster, and a worker's resident memory stays that of its batches (mapped pages count as resident).
"""

from __future__ import annotations

import os
import sys
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from abaw_ray.blocks.files import map_file
from abaw_ray.errors import StoreError
from abaw_ray.threads import on_threads

MAX_OPEN_FILES = 256
MAX_BUFFERS = 1024  # of one preadv call (IOV_MAX)
MAX_BYTES = 1 << 30  # of one preadv call, which gives at most 2 GiB


class OpenFile:
    """A file that is closed when nobody uses it any more, so that no thread closes it under another."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror})") from None
        self._path = path

    def read_into(self, buffers: Sequence[memoryview], offset: int) -> None:
        """Fills `buffers` one after the other from byte `offset` on.

        Raises:
            StoreError: the file ends before, or cannot be read.
        """
        expected = sum(b.nbytes for b in buffers)
        found = 0
        while found < expected:
            try:
                # of a file that comes over a network, a call can give less than it was asked for
                num_read = os.preadv(self._descriptor, _after(buffers, found), offset + found)
            except OSError as error:
                raise StoreError(f"{self._path}: cannot be read ({error.strerror})") from None
            if num_read == 0:
                raise StoreError(f"{self._path}: found {found} bytes at {offset}, expected {expected}")
            found += num_read

    def __del__(self, close: Any = os.close) -> None:
        if hasattr(self, "_descriptor"):
            close(self._descriptor)


def _after(buffers: Sequence[memoryview], num_bytes: int) -> Sequence[memoryview]:
    """What is left of `buffers` when the first bytes are filled."""
    if num_bytes == 0:
        return buffers
    left = []
    for buffer in buffers:
        if num_bytes < buffer.nbytes:
            left.append(buffer.cast("B")[num_bytes:])
        num_bytes = max(0, num_bytes - buffer.nbytes)
    return left


@dataclass(frozen=True)
class Layout:
    """Where the samples of a block begin in its file: byte offsets (rows + 1,), or the first one and equal sizes."""

    start: int
    offsets: np.ndarray | None = None


class RowReader(ABC):
    """Reads samples; safe to use from several threads.

    Args:
        locate: the file of a block, given by its place; asked for whenever one is opened.
        num_rows: samples in each block.
        field: column of blocks that they are in.
        shape: of a sample.
        dtype: of its numbers.

    Attributes:
        runs: of neighbouring rows that a thread reads at a time.
    """

    runs: int

    def __init__(
        self,
        locate: Callable[[int], Path],
        num_rows: Sequence[int],
        field: pa.Field,
        shape: tuple[int, ...],
        dtype: type[np.generic],
    ) -> None:
        self._locate, self._num_rows = locate, num_rows
        self._field, self._shape, self._dtype = field, shape, dtype
        self._layouts: dict[int, Layout] = {}
        self._open: OrderedDict[int, OpenFile] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, blocks: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Samples (n, *shape) at `rows` (n,) of `blocks` (n,); repeats are allowed.

        Raises:
            StoreError: a block file is missing or not whole.
        """
        samples = np.empty((len(rows), *self._shape), self._dtype)
        if len(rows) == 0:
            return samples
        order = np.lexsort((rows, blocks))
        ordered_blocks, ordered_rows = blocks[order], rows[order]
        is_new = (np.diff(ordered_blocks) != 0) | (np.diff(ordered_rows) != 1)
        cuts = [0, *(np.flatnonzero(is_new) + 1).tolist(), len(order)]
        first_blocks, first_rows = ordered_blocks[cuts[:-1]].tolist(), ordered_rows[cuts[:-1]].tolist()
        places = order.tolist()
        num_rows = max(1, min(MAX_BUFFERS, MAX_BYTES // samples[0].nbytes))

        def part(runs: range) -> None:
            for i in runs:
                for first in range(cuts[i], cuts[i + 1], num_rows):
                    run = places[first : min(first + num_rows, cuts[i + 1])]
                    self._read_run(first_blocks[i], first_rows[i] + first - cuts[i], run, samples)

        num_runs = len(first_rows)
        on_threads(part, [range(i, min(i + self.runs, num_runs)) for i in range(0, num_runs, self.runs)])
        return samples

    def not_open(self, blocks: np.ndarray) -> np.ndarray:
        """Those of `blocks` (n,), each once, whose file is to be opened when they are read."""
        with self._lock:
            return np.array([block for block in np.unique(blocks).tolist() if block not in self._open], np.int64)

    @abstractmethod
    def _read_run(self, block: int, row: int, places: list[int], samples: np.ndarray) -> None:
        """Reads rows `row`, `row` + 1, ... of a block to the `places` in `samples`."""

    @abstractmethod
    def _find(self, column: Any, base: int) -> Layout:
        """Layout of the column of samples of a file that is mapped at the address `base`."""

    def _file(self, block: int) -> tuple[OpenFile, Layout]:
        with self._lock:
            if block in self._open:
                self._open.move_to_end(block)
            else:
                self._open[block] = self._opened(block)
                if len(self._open) > MAX_OPEN_FILES:
                    self._open.popitem(last=False)
            if block not in self._layouts:
                self._layouts[block] = self._layout(block)
            return self._open[block], self._layouts[block]

    def _opened(self, block: int) -> OpenFile:
        path = self._locate(block)
        # a cache may make room for another file in between
        return OpenFile(path if path.exists() else self._locate(block))

    def _layout(self, block: int) -> Layout:
        path = self._locate(block)
        batch, base = map_file(path)
        name, expected = self._field.name, self._field.type
        found = batch.schema.field(name).type if name in batch.schema.names else None
        if batch.num_rows != self._num_rows[block] or found != expected:
            raise StoreError(
                f"{path}: found {batch.num_rows} rows of {name} as {found}, expected {self._num_rows[block]} as"
                f" {expected}"
            )
        return self._find(batch.column(name), base)


class FixedSizeRows(RowReader):
    """Numbers as they are; copies are too short for threads, which would wait for Python's lock."""

    runs = sys.maxsize

    def _find(self, column: Any, base: int) -> Layout:
        return Layout(column.values.buffers()[1].address - base)

    def _read_run(self, block: int, row: int, places: list[int], samples: np.ndarray) -> None:
        file, layout = self._file(block)
        if places == list(range(places[0], places[0] + len(places))):
            views = [samples[places[0] : places[-1] + 1].data]
        else:
            views = [samples[place].data for place in places]
        file.read_into(views, layout.start + row * samples[0].nbytes)


class JpegImages(RowReader):
    """JPEG files, decoded by several threads into images (height, width, 3) uint8 RGB."""

    runs = 16

    def _find(self, column: Any, base: int) -> Layout:
        _, offsets, values = column.buffers()
        return Layout(values.address - base, np.frombuffer(offsets, np.int64, len(column) + 1).copy())

    def _read_run(self, block: int, row: int, places: list[int], samples: np.ndarray) -> None:
        file, layout = self._file(block)
        assert layout.offsets is not None, "JPEG files have different lengths"
        bounds = layout.offsets[row : row + len(places) + 1]
        encoded = np.empty(bounds[-1] - bounds[0], np.uint8)
        file.read_into([encoded.data], layout.start + int(bounds[0]))
        for place, start, stop in zip(places, bounds[:-1] - bounds[0], bounds[1:] - bounds[0], strict=True):
            image = cv2.imdecode(encoded[start:stop], cv2.IMREAD_COLOR_RGB)
            if image is None or image.shape != samples.shape[1:]:
                raise StoreError(f"{self._locate(block)}: an image of row {row} or after is not a JPEG of this store")
            samples[place] = image
