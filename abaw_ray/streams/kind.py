"""What a kind of stream is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from abaw_ray.blocks.row_readers import RowReader
from abaw_ray.config import AugmentConfig
from abaw_ray.databases.reading.names import file_name, portable
from abaw_ray.streams.base import Stream

if TYPE_CHECKING:
    from torch import Tensor  # reading and writing samples does without

T = TypeVar("T")


@dataclass(frozen=True)
class CutSettings:
    """How pictures are decoded, what is made of damaged and small ones, and the quality of JPEGs: see
    `config.PrepareConfig`."""

    jpeg_quality: int = 95
    smallest_face: int = 1
    keep_damaged: bool = False
    reduced_decoding: bool = False


class Cut(NamedTuple):
    """The samples of rows.

    Args:
        samples: (rows,) of the kind's field; anything where there is none.
        reasons: (rows,) why a row has no sample; empty where it has one.
        places: (rows,) of those that have none: which it is, and what was found.
        images: (rows, size, size, 3) uint8 before they were encoded; None: they are no images.
    """

    samples: pa.Array
    reasons: list[str]
    places: list[str]
    images: np.ndarray | None = None


class Kind(ABC):
    """A kind of stream. Samples that have been cut out are kept in the column `field` of blocks."""

    encodings: ClassVar[tuple[str, ...]]
    """How samples can be kept."""

    @abstractmethod
    def shape(self, stream: Stream) -> tuple[int, ...]:
        """Shape of one sample as networks take it."""

    @abstractmethod
    def field(self, stream: Stream) -> pa.Field:
        """Column of blocks."""

    @abstractmethod
    def cut(self, rows: pa.Table, root: Path, stream: Stream, settings: CutSettings) -> Cut:
        """Reads and cuts out the samples of rows.

        Args:
            rows: with the columns image (a path below `root`), geometry and frame.
            root: of the database.
            stream: of this kind.
            settings: of the store.
        """

    def cut_together(self, parts: Sequence[tuple[pa.Table, Stream]], root: Path, settings: CutSettings) -> list[Cut]:
        """As `cut`, of the rows of several blocks, of streams of this kind, which share files: each block's samples."""
        return [self.cut(rows, root, stream, settings) for rows, stream in parts]

    @abstractmethod
    def reader(self, stream: Stream, locate: Callable[[int], Path], num_rows: Sequence[int]) -> RowReader:
        """Reads samples from blocks; the other arguments are those of `RowReader`."""

    def random_views(self, samples: Tensor, uniforms: Tensor, config: AugmentConfig) -> Tensor:
        """Samples (batch, ...) as they are read -> (batch, *shape), augmented.

        Args:
            samples: as read.
            uniforms: (batch, `augmentation.draws.num_uniforms(config)`) in [0, 1): of a sample, the same for all its
                streams.
            config: of augmentation.
        """
        return samples

    def centre_views(self, samples: Tensor, config: AugmentConfig) -> Tensor:
        """As `random_views`, of the evaluation view."""
        return samples

    def evaluation_views(self, samples: Tensor, number: int, config: AugmentConfig) -> Tensor:
        """As `centre_views`, of one of the views whose predictions are averaged, where the kind has more than that one.

        Args:
            samples: as read.
            number: of the view, as of `augmentation.evaluation_views`; 0 is the centre.
            config: of augmentation.
        """
        return self.centre_views(samples, config)


class NoSample(ValueError):
    """A row, or a whole file, that gives no sample.

    Args:
        reason: to count it by.
        found: there.
    """

    def __init__(self, reason: str, found: str) -> None:
        super().__init__(reason, found)
        self.reason, self.found = reason, found


def cut_by_file(
    rows: pa.Table,
    root: Path,
    samples: np.ndarray,
    opened: Callable[[Path], T],
    cut_out: Callable[[T, list[float], int], np.ndarray],
) -> Cut:
    """Cuts samples out of files, each of which is opened once.

    Args:
        rows: as of `Kind.cut`.
        root: of the database.
        samples: (rows, ...) zeros, to write to.
        opened: what a file holds. Raises NoSample.
        cut_out: the sample of a row from what its file holds, its geometry and frame. Raises NoSample.
    """
    names, frames = portable(rows["image"]).to_pylist(), rows["frame"].to_pylist()
    geometries = rows["geometry"].to_pylist()
    reasons, places = [""] * len(names), [""] * len(names)
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, path in enumerate(rows["image"].to_pylist()):
        rows_of[path].append(row)
    for path, same in rows_of.items():
        try:
            content = opened(root / file_name(path))
        except NoSample as error:
            for row in same:
                reasons[row], places[row] = error.reason, f"{names[row]}: {error.found}"
            continue
        for row in same:
            try:
                samples[row] = cut_out(content, geometries[row], frames[row])
            except NoSample as error:
                reasons[row], places[row] = error.reason, f"{names[row]}: {error.found}"
    flat = samples.reshape(len(samples), -1)
    return Cut(pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), flat.shape[1]), reasons, places)
