"""Frames of video files by number: their place in the order in which they are shown, from 0.

Packets are listed without decoding them, which tells how many frames a file really has (containers lie) and where
decoding can begin; then a part of a video is decoded once, from the key frame before it on, and in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from abaw_ray.errors import UserError


class UnreadableVideo(UserError, ValueError):
    """A file that is no video, or one whose packets do not say when they are shown."""


@dataclass(frozen=True)
class FrameTimes:
    """When the frames of a video are shown.

    Args:
        shown: (frames,) int64 times, ascending; their place is a frame's number.
        keys: (keys,) int64 those of key frames, at which decoding can begin.
    """

    shown: np.ndarray
    keys: np.ndarray


def num_frames(path: Path) -> int:
    """Number of frames in a video file, whatever its container states.

    Raises:
        FileNotFoundError: no such file.
        UnreadableVideo: not a video.
    """
    with _opened(path) as (container, stream):
        return len(_frame_times(path, container, stream).shown)


def read_frames(path: Path, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Frames of a video, decoded by one thread; memory does not grow with their number.

    Args:
        path: of the file.
        numbers: of the wanted frames, ascending.

    Yields:
        Number and image (height, width, 3) uint8 RGB, turned as the file's metadata asks for. Frames that the file does
        not have, or that cannot be decoded, are left out.

    Raises:
        FileNotFoundError: no such file.
        UnreadableVideo: not a video.
    """
    with _opened(path) as (container, stream):
        times = _frame_times(path, container, stream)
        wanted = {int(times.shown[n]): n for n in numbers if n < len(times.shown)}
        if not wanted:
            return
        first, last = min(wanted), max(wanted)
        place = max(int(np.searchsorted(times.keys, first, side="right")) - 1, 0)
        container.seek(int(times.keys[place]), stream=stream, backward=True)
        to_rgb = VideoReformatter()  # one for all frames: a frame's own is made anew
        for frame in _decoded(container, stream):
            if frame.pts in wanted:
                image = to_rgb.reformat(frame, format="rgb24").to_ndarray()
                yield wanted[frame.pts], np.rot90(image, frame.rotation // 90)
            if frame.pts is not None and frame.pts >= last:
                return


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """The frames from here on that can be decoded; one whose packet is damaged is passed over."""
    for packet in container.demux(stream):
        try:
            yield from (frame for frame in packet.decode() if not frame.is_corrupt)
        except av.FFmpegError:
            continue


def _frame_times(path: Path, container: InputContainer, stream: VideoStream) -> FrameTimes:
    packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
    shown = [p.pts for p in packets if p.pts is not None]
    if not shown or len(shown) != len(packets) or len(set(shown)) != len(shown):
        raise UnreadableVideo(
            f"{path}: found {len(packets)} packets, {len(set(shown))} times at which they are shown; expected a video"
            " with a time for each frame"
        )
    keys = [p.pts for p in packets if p.is_keyframe]
    return FrameTimes(np.sort(np.array(shown, np.int64)), np.sort(np.array(keys or shown[:1], np.int64)))


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
