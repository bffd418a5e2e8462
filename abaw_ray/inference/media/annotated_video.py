"""A video with what a model says of its faces drawn upon it, as browsers play it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from abaw_ray.blocks.files import atomic_path
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.ahead import ahead
from abaw_ray.inference.media.drawing import annotate
from abaw_ray.inference.media.encoding import Encoding, VideoTrack, best_encoding
from abaw_ray.inference.media.history import History
from abaw_ray.inference.media.sound_track import written_sound
from abaw_ray.inference.model_info import ModelInfo
from abaw_ray.video import UnreadableVideo, frame_times, read_frames

USUAL_RATE, FASTEST = Fraction(25), Fraction(240)
ROWS_AT_ONCE = 512


def write_annotated_video(
    video: Path, rows: pa.Table, info: ModelInfo, out: Path, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Writes a video's frames with boxes, labels, dials and curves drawn upon them, whole or not at all.

    H.264 in MP4 where PyAV has an encoder of it, else VP9 in WebM, else MPEG-4 (`best_encoding` says which). The frames
    that decode follow each other at the source's times, the first at 0; they are upright; the sound is the source's.
    Memory does not grow with the video's length.

    Args:
        video: the source.
        rows: what is said of this video, with the columns of `answers_schema`. A frame without rows of its own looks
            like the last one that has some.
        info: of the model.
        out: the file; its ending is replaced by that of the kind of file.
        progress: called with the number of frames that are written, and of all that are expected.

    Returns:
        The file that was written.

    Raises:
        FileNotFoundError: no such video.
        UnreadableVideo: not a video, or none of its frames can be decoded.
        ConfigurationError: `out` is the source.
        NoEncoder: PyAV has no encoder of video.
        StorageError: the disk is full, or cannot be written.
    """
    encoding = best_encoding()
    out = out.with_suffix(encoding.suffix)
    if out.exists() and out.samefile(video):
        raise ConfigurationError(f"{out}: found the source itself, expected another file for the annotated video")
    times = frame_times(video)
    with atomic_path(out) as temporary:
        _write(video, _annotated(video, len(times), rows, info), times, encoding, temporary, progress)
    return out


def _write(
    video: Path,
    frames: Iterator[tuple[int, np.ndarray]],
    times: np.ndarray,
    encoding: Encoding,
    out: Path,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Writes numbered frames, and sound as it goes along with them, so that neither waits in memory for the other."""
    import av

    first = next(frames, None)
    if first is None:
        raise UnreadableVideo(f"{video}: found no frame that can be decoded, expected a video")
    start, shape = float(times[first[0]]), first[1].shape
    options = {"movflags": "+faststart"} if encoding.container == "mp4" else {}
    with av.open(str(out), "w", format=encoding.container, options=options) as container:
        track = VideoTrack(container, encoding, shape, _rate(times), _pixel_shape(video, shape))
        with closing(written_sound(video, container, encoding, start)) as sound:
            heard = next(sound, math.inf)
            for done, (number, image) in enumerate(chain([first], frames), 1):
                time = float(times[number]) - start
                track.write(image, time)
                while heard < time:
                    heard = next(sound, math.inf)
                if progress:
                    progress(done, len(times))
            track.finish()
            for _ in sound:
                pass


def _rate(times: np.ndarray) -> Fraction:
    """Frames a second, on average: containers of variable rates state anything."""
    span = float(times[-1] - times[0])
    found = Fraction((len(times) - 1) / span).limit_denominator(1001) if span > 0 else USUAL_RATE
    return min(max(found, Fraction(1)), FASTEST)


def _pixel_shape(video: Path, shape: tuple[int, ...]) -> Fraction:
    """The width of a pixel of upright pictures (H, W, 3) divided by its height."""
    import av

    with av.open(str(video), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        pixel, is_turned = stream.sample_aspect_ratio or Fraction(1), stream.width == shape[0] != shape[1]
        return 1 / pixel if is_turned else pixel


def _annotated(video: Path, num_frames: int, rows: pa.Table, info: ModelInfo) -> Iterator[tuple[int, np.ndarray]]:
    """Number and drawing (H, W, 3) uint8 RGB of each frame that decodes."""
    history, shown = History(), list[dict[str, Any]]()
    answers = rows_of_frames(rows)
    coming = next(answers, None)
    for number, image in ahead(read_frames(video, range(num_frames))):
        while coming and coming[0] <= number:
            shown = coming[1]
            history.add(shown)
            coming = next(answers, None)
        yield number, annotate(image, shown, info, history)


def rows_of_frames(rows: pa.Table) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Number and rows of each frame that has some, in the order of frames; few rows at a time are Python's."""
    order = np.argsort(rows["frame"].to_numpy(), kind="stable")
    parts = (order[begin : begin + ROWS_AT_ONCE] for begin in range(0, len(order), ROWS_AT_ONCE))
    as_dicts = (row for part in parts for row in rows.take(pa.array(part)).to_pylist())
    for frame, same in groupby(as_dicts, lambda row: row["frame"]):
        yield frame, list(same)
