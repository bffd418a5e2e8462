"""TensorBoard's event files of a run that goes on: points of epochs that are run again are cut off."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

FRAME_BYTES = 16
"""Of a record beside its content: its length and two checksums."""


def keep_epochs(folder: Path, num_epochs: int, last_tag: str) -> None:
    """Cuts off what was written after an epoch, and names the files so that later ones come after them.

    TensorBoard reads files in the order of their names, in which is the time by the clock of the node.

    Args:
        folder: of event files.
        num_epochs: that are kept; 0 removes all files.
        last_tag: of the last point of each epoch, whose step is the number of epochs till then. Where there is none of
            `num_epochs`, nothing was written after it.
    """
    is_cut = num_epochs == 0
    for number, file in enumerate(_files(folder)):
        if is_cut:
            file.unlink()
            continue
        if (size := _size_till(file, num_epochs, last_tag)) is not None:
            os.truncate(file, size)
            is_cut = True
        file.rename(_numbered(folder, number))


def keep_sizes(folder: Path, sizes: Sequence[int]) -> None:
    """Cuts the first files down to the sizes that `event_file_sizes` gave, removes later ones, and names them as
    `keep_epochs` does."""
    for number, file in enumerate(_files(folder)):
        if number >= len(sizes):
            file.unlink()
            continue
        os.truncate(file, min(sizes[number], file.stat().st_size))
        file.rename(_numbered(folder, number))


def event_file_sizes(folder: Path) -> list[int]:
    """Bytes of all event files, in the order that TensorBoard reads them in."""
    return [file.stat().st_size for file in _files(folder)]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("events.*"))


def _numbered(folder: Path, number: int) -> Path:
    return folder / f"events.out.tfevents.{number:010d}"


def _size_till(file: Path, num_epochs: int, last_tag: str) -> int | None:
    """Bytes up to the end of the last point of an epoch; None: it is not in the file."""
    size = 0
    for record in RawEventFileLoader(str(file)).Load():
        size += len(record) + FRAME_BYTES
        event = Event.FromString(record)
        if event.step == num_epochs and any(value.tag == last_tag for value in event.summary.value):
            return size
    return None
