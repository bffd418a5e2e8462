"""Frames of video files by number: frame k is the k-th picture, from 0, that a decoder puts out from the beginning.

Packets are listed without decoding them. In most files they tell when each picture is shown, and so its number and
where decoding can begin; then a part of a video is decoded once, from the key frame before it on. In files where they
do not (times of decoding instead, as in AVI files with B-frames; pictures without a time of their own; streams without
an index) everything is decoded from the beginning, and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from abaw_ray.errors import UserError


class UnreadableVideo(UserError, ValueError):
    """A file that is no video, or one whose packets do not say when they are shown."""


SEEKABLE = ("mp4", "matroska", "avi")
"""Parts of the names of container formats whose index leads to key frames."""

NUM_PROBED = 16
"""Pictures from the beginning whose times are compared with those that packets give."""


@dataclass(frozen=True)
class FrameTimes:
    """When the frames of a video are shown.

    Args:
        shown: (frames,) int64 times, ascending; their place is a frame's number.
        keys: (keys,) int64 those of key frames, at which decoding can begin, ascending.
    """

    shown: np.ndarray
    keys: np.ndarray


def num_frames(path: Path) -> int:
    """Number of frames in a video file, whatever its container states.

    Raises:
        FileNotFoundError: no such file.
        UnreadableVideo: not a video.
    """
    times = _frame_times(path)
    if times is not None:
        return len(times.shown)
    with _opened(path) as (container, stream):
        return sum(1 for _ in _decoded(container, stream))


def numbers_need_decoding(path: Path) -> bool:
    """Whether frames of a file can only be told by decoding it from the beginning.

    Other programs that number frames by their times, or by packets, then count otherwise.

    Raises:
        FileNotFoundError: no such file.
        UnreadableVideo: not a video.
    """
    return _frame_times(path) is None


def read_frames(path: Path, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Frames of a video, decoded by one thread; memory does not grow with their number.

    Args:
        path: of the file.
        numbers: of the wanted frames, ascending.

    Yields:
        Number and image (height, width, 3) uint8 RGB, turned as the file's metadata asks for. Frames that the file does
        not have, or that cannot be decoded, are left out. A frame whose packet is damaged keeps its number, but in a
        file that has to be decoded from the beginning: there the frames after it are one less.

    Raises:
        FileNotFoundError: no such file.
        UnreadableVideo: not a video, or pictures come at other times than its packets say.
    """
    times = _frame_times(path)
    wanted, last = set(numbers), max(numbers, default=-1)
    to_rgb = VideoReformatter()  # one for all frames: a frame's own is made anew
    with _opened(path) as (container, stream):
        frames = _counted(container, stream) if times is None else _sought(path, container, stream, times, numbers)
        for number, frame in frames:
            if number in wanted and not frame.is_corrupt:
                image = to_rgb.reformat(frame, format="rgb24").to_ndarray()
                yield number, np.rot90(image, frame.rotation // 90)
            if number >= last:
                return


def _counted(container: InputContainer, stream: VideoStream) -> Iterator[tuple[int, av.VideoFrame]]:
    """All frames with their numbers."""
    return enumerate(_decoded(container, stream))


def _sought(
    path: Path, container: InputContainer, stream: VideoStream, times: FrameTimes, numbers: Sequence[int]
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Frames with their numbers, from the key frame before the first of `numbers` on."""
    there = [n for n in numbers if n < len(times.shown)]
    if not there:
        return
    before = int(np.searchsorted(times.keys, times.shown[there[0]], side="right")) - 1
    start = times.keys[before] if before >= 0 else min(times.keys[0], times.shown[0])
    container.seek(int(start), stream=stream, backward=True)
    for frame in _decoded(container, stream):
        number = int(np.searchsorted(times.shown, frame.pts)) if frame.pts is not None else len(times.shown)
        if number == len(times.shown) or times.shown[number] != frame.pts:
            raise UnreadableVideo(f"{path}: found a picture at time {frame.pts}, which none of its packets names")
        yield number, frame


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """The pictures from here on that the decoder puts out; a packet that it cannot read is passed over."""
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue


def _frame_times(path: Path) -> FrameTimes | None:
    """When frames are shown, by the packets; None where those do not tell."""
    with _opened(path) as (container, stream):
        packets = [p for p in container.demux(stream) if p.size]
        seekable = any(name in container.format.name for name in SEEKABLE)
        is_avi = "avi" in container.format.name
    if not packets:
        raise UnreadableVideo(f"{path}: found a video stream without a packet, expected a video")
    shown = sorted(p.pts for p in packets if p.pts is not None and not p.is_discard)
    keys = sorted(p.pts for p in packets if p.pts is not None and p.is_keyframe)
    every = [p for p in packets if not p.is_discard]
    if not seekable or not packets[0].is_keyframe or len(set(shown)) != len(every):
        return None
    with _opened(path) as (container, stream):
        probed = [frame.pts for frame in islice(_decoded(container, stream), NUM_PROBED)]
        # an AVI file has no times of showing: packets are numbered as they are decoded
        if probed != shown[: len(probed)] or len(probed) < min(NUM_PROBED, len(shown)):
            return None
        if is_avi and stream.codec_context.has_b_frames:
            return None
    return FrameTimes(np.array(shown, np.int64), np.array(keys, np.int64))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    try:
        container = av.open(str(path))
    except FileNotFoundError:
        raise
    except av.FFmpegError as error:
        raise UnreadableVideo(f"{path}: found no video that can be read ({error.strerror})") from None
    with container:
        if not container.streams.video:
            raise UnreadableVideo(f"{path}: found no video stream, expected a video")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        yield container, stream
