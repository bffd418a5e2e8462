"""Frames of videos, pictures and cameras, one after the other, with the time of each."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import av
import cv2
import numpy as np

from abaw_ray.errors import MissingInputError
from abaw_ray.inference.inputs import Input
from abaw_ray.preprocess.decoding import read_image
from abaw_ray.storage import AnyPath
from abaw_ray.video import frame_times, num_frames, read_frames


@dataclass(frozen=True)
class Shot:
    """A frame of a video or camera, or a picture.

    Args:
        source: as tables name it.
        number: of the frame, from 0.
        seconds: of the container's clock, or since a camera was opened; None: a picture.
        image: (height, width, 3) uint8 RGB, upright.
    """

    source: str
    number: int
    seconds: float | None
    image: np.ndarray


@contextmanager
def local_copy(path: AnyPath) -> Iterator[Path]:
    """The file itself, or for the time of the block a copy on this machine."""
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="abaw-ray-input-") as folder:
        copy = Path(folder) / path.name
        with copy.open("wb") as stream:
            for chunk in path.chunks():
                stream.write(chunk)
        yield copy


def length(given: Input, path: Path | None, every: int = 1) -> int | None:
    """Number of frames that are looked at: every `every`-th of a video; None: a camera, which has no end.

    Raises:
        FileNotFoundError, UnreadableVideo: not a video.
    """
    if given.kind == "camera":
        return None
    if given.kind == "picture":
        return 1
    assert path is not None, "a video has a path"
    return len(range(0, num_frames(path), every))


def estimated_length(given: Input, every: int) -> int:
    """Frames of an input by what its container says; 0: unknown, as of a camera or a remote video."""
    if given.kind == "picture":
        return 1
    if given.kind == "video" and isinstance(given.path, Path):
        with (
            suppress(av.FFmpegError, OSError, IndexError),
            av.open(str(given.path), metadata_errors="replace") as container,
        ):
            stream = container.streams.video[0]
            seconds = float(container.duration or 0) / 1e6
            return (stream.frames or int(seconds * float(stream.average_rate or 0))) // every
    return 0


def shots(given: Input, path: Path | None, every: int = 1, stop: Event | None = None) -> Iterator[Shot]:
    """Every `every`-th frame of an input. Frames that cannot be decoded are left out.

    Args:
        given: what it is.
        path: of a video or picture on this machine.
        every: 1 for all frames.
        stop: ends a camera.

    Raises:
        FileNotFoundError, UnreadableVideo, UnreadableImage: it cannot be read.
        MissingInputError: no such camera.
    """
    if given.kind == "camera":
        yield from _camera(given, every, stop or Event())
        return
    assert path is not None, "only cameras have no path"
    if given.kind == "picture":
        yield Shot(given.source, 0, None, read_image(path, apply_orientation=True))
        return
    times = frame_times(path)
    for number, image in read_frames(path, range(0, len(times), every)):
        yield Shot(given.source, number, float(times[number]), image)


def _camera(given: Input, every: int, stop: Event) -> Iterator[Shot]:
    capture = cv2.VideoCapture(given.device)
    try:
        if not capture.isOpened():
            raise MissingInputError(f"{given.source}: no camera that OpenCV can open")
        opened, number = time.monotonic(), 0
        while not stop.is_set() and capture.grab():
            seconds = time.monotonic() - opened
            if number % every == 0:
                is_whole, image = capture.retrieve()
                if is_whole:
                    yield Shot(given.source, number, seconds, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            number += 1
    finally:
        capture.release()
