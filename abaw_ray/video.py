"""Frames of video files by number: frame k is the k-th picture that comes out of a decoder begun at the first packet.

Where the packets' times say in which order the pictures come out, nothing is decoded to number them. Elsewhere (an AVI
file states when a packet is decoded, not when its picture is shown; a packet may hold two pictures, or none) the whole
video is decoded once, and which picture came out of which packet is remembered. Either way, a part of a video is then
decoded from the key frame before it on.

A picture that cannot be decoded keeps its number, so that those after it are the same as in an undamaged file. Where
pictures had to be counted and are not stored in the order in which they are shown, a damaged one is counted where its
packet lies: until the next key frame, numbers may then be off by the pictures in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from abaw_ray.errors import UserError
from abaw_ray.limits import MOST_PIXELS, regular

TIMED_CONTAINERS = {"mov", "matroska"}
"""Those (by FFmpeg's names) that state when a picture is shown; elsewhere that is missing, or a guess of FFmpeg's."""

ENTERED_CONTAINERS = TIMED_CONTAINERS | {"avi"}
"""Those that state where packets begin; in others FFmpeg finds that out, and not the same from every place."""

ONE_PICTURE_A_PACKET = {"h264", "hevc", "vp9", "av1", "mpeg2video"}
"""Codecs of which a packet gives one picture, besides those that store every picture by itself."""

MPEG4_PICTURE, MPEG4_BOTH_SIDES = b"\x00\x00\x01\xb6", 2
"""Start of a picture in MPEG-4 part 2, and its type if it is predicted from both sides (a B-frame)."""

MPEG4_NOTHING = 20
"""A packet of MPEG-4 part 2 with fewer bytes may say that there is no new picture."""

NUM_PROBED = 16
"""Pictures at the start that are decoded to see whether they come out as the packets' times say."""

NUM_REMEMBERED = 4
"""Videos whose index a process keeps: parts of one video are read one after the other."""

UNSTATED = -(2**63)


class UnreadableVideo(UserError, ValueError):
    """A file that is no video."""


@dataclass(frozen=True)
class FrameIndex:
    """Where the frames of a video are. Packets have the numbers 0, 1, ... in the order of the file.

    Args:
        packets: (frames,) int64 packet that each frame comes from.
        turns: (frames,) int64 how many frames come from the same packet before it: 0 but for packed frames.
        keys: (keys,) int64 packets at which decoding can begin, ascending.
        labels: (packets, 3) int64 by which a packet is recognised: when it is shown, when it is decoded, and its place
            in the file; UNSTATED where it is not stated.
        needed_decoding: whether the packets alone do not tell this.
    """

    packets: np.ndarray
    turns: np.ndarray
    keys: np.ndarray
    labels: np.ndarray
    needed_decoding: bool

    def key_before(self, frame: int) -> int:
        """Packet at which decoding begins so that frame number `frame` comes out: the last key frame up to it."""
        keys = np.flatnonzero(np.isin(self.packets[: frame + 1], self.keys))
        return int(self.packets[keys[-1]]) if len(keys) else 0

    def place_of(self, packet: av.Packet) -> int | None:
        """Number of a packet; None if it cannot be told."""
        places = np.flatnonzero((self.labels == _label(packet)).all(axis=1))
        return int(places[0]) if len(places) == 1 else None


def num_frames(path: Path) -> int:
    """Number of frames in a video file, whatever its container states.

    Raises:
        FileNotFoundError: no such file.
        UnreadableVideo: not a video.
    """
    return len(_index(path).packets)


def numbers_need_decoding(path: Path) -> bool:
    """Whether frames can only be numbered by decoding the whole video: its packets do not tell what comes out of them.

    Raises:
        FileNotFoundError: no such file.
        UnreadableVideo: not a video.
    """
    return _index(path).needed_decoding


def frame_times(path: Path) -> np.ndarray:
    """When each frame of a video is shown, (frames,) float64 seconds of the container's clock.

    Where packets do not state it, frames follow each other at the average rate, from 0 on.

    Raises:
        FileNotFoundError: no such file.
        UnreadableVideo: not a video, or one that states neither times nor a rate.
    """
    index = _index(path)
    shown = index.labels[index.packets, 0]
    with _opened(path) as (container, stream):
        if _is_one_of(TIMED_CONTAINERS, container) and (shown != UNSTATED).all() and not index.turns.any():
            assert stream.time_base is not None, "a container with times has a unit of them"
            return shown * float(stream.time_base)
        if not stream.average_rate:
            raise UnreadableVideo(f"{path}: found neither times nor a rate of frames")
        return np.arange(len(shown)) / float(stream.average_rate)


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
    index = _index(path)
    missing = {n for n in numbers if n < len(index.packets)}
    if not missing:
        return
    # what does not come out after a key frame (where pictures are refreshed part by part) may after the first packet
    for begin in dict.fromkeys((index.key_before(min(missing)), 0)):
        for number, image in _frames(path, index, frozenset(missing), begin):
            missing.remove(number)
            yield number, image
        if not missing:
            return


def _frames(path: Path, index: FrameIndex, wanted: frozenset[int], begin: int) -> Iterator[tuple[int, np.ndarray]]:
    """Those of the wanted frames that come out of a decoder begun at packet `begin` or before it."""
    first, last = min(wanted), max(wanted)
    origins = zip(index.packets[first : last + 1].tolist(), index.turns[first : last + 1].tolist(), strict=True)
    number_of = dict(zip(origins, range(first, last + 1), strict=True))
    to_rgb = VideoReformatter()  # one for all frames: a frame's own is made anew
    for origin, frame in _decoded(_packets_from(path, index, begin), failed=[]):
        number = number_of.get(origin)
        if number in wanted and not frame.is_corrupt:
            image = to_rgb.reformat(frame, format="rgb24").to_ndarray()
            yield number, np.rot90(image, frame.rotation // 90)
        if number == last:
            return


def _packets_from(path: Path, index: FrameIndex, begin: int) -> Iterator[tuple[int, av.Packet]]:
    """Packets and their numbers from `begin` on, or from before it if the file cannot be entered there."""
    if begin > 0:
        with _opened(path) as (container, stream):
            if _is_one_of(ENTERED_CONTAINERS, container) and _seek(container, stream, index.labels[begin]):
                packets = _packets(container, stream)
                first = next(packets, None)
                place = index.place_of(first) if first else None
                if first and place is not None and place <= begin:
                    yield from enumerate(chain([first], packets), place)
                    return
    with _opened(path) as (container, stream):
        yield from enumerate(_packets(container, stream))


def _seek(container: InputContainer, stream: VideoStream, label: np.ndarray) -> bool:
    """Goes to a packet; False if the file has no way to it."""
    shown, decoded, _ = label.tolist()
    time = shown if _is_one_of(TIMED_CONTAINERS, container) else decoded
    try:
        container.seek(time, stream=stream, backward=True)
    except av.FFmpegError:
        return False
    return True


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    # an empty one states a repeated picture, and would end the decoder's work
    return (packet for packet in container.demux(stream) if packet.size)


def _decoded(
    packets: Iterable[tuple[int, av.Packet]], failed: list[int]
) -> Iterator[tuple[tuple[int, int], av.VideoFrame]]:
    """Pictures in the order in which they come out, each with its packet's number and its turn among those of it.

    Args:
        packets: with their numbers.
        failed: takes up the numbers of packets that cannot be decoded.
    """
    turns: Counter[int] = Counter()
    decoder: VideoCodecContext | None = None
    for number, packet in packets:
        decoder = packet.stream.codec_context
        packet.pts, packet.dts = number, None  # a decoder hands the time of a packet on to its picture
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError:
            failed.append(number)
            continue
        yield from _with_origins(frames, turns)
    if decoder is not None:
        with suppress(av.FFmpegError):  # of a picture that was waiting for more
            yield from _with_origins(decoder.decode(None), turns)


def _with_origins(frames: list[av.VideoFrame], turns: Counter[int]) -> Iterator[tuple[tuple[int, int], av.VideoFrame]]:
    for frame in frames:
        packet = frame.pts
        assert packet is not None, "a picture has the time of its packet"
        yield (packet, turns[packet]), frame
        turns[packet] += 1


def _index(path: Path) -> FrameIndex:
    try:
        status = regular(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableVideo(f"{path}: found no video that can be read ({error.strerror})") from None
    return _remembered_index(path, status.st_mtime_ns, status.st_size)


@lru_cache(NUM_REMEMBERED)
def _remembered_index(path: Path, changed: int, size: int) -> FrameIndex:
    with _opened(path) as (container, stream):
        is_mpeg4 = stream.codec_context.name == "mpeg4"
        labels, flags, mpeg4 = [], [], []
        for packet in _packets(container, stream):
            labels.append(_label(packet))
            flags.append((packet.is_keyframe, packet.is_discard))
            if is_mpeg4:
                mpeg4.append(_mpeg4_pictures(bytes(packet)))
        places = np.array(labels, np.int64).reshape(-1, 3)
        is_key, is_discarded = np.array(flags, bool).reshape(-1, 2).T
        order = _order_by_times(container, stream, places[:, 0], mpeg4)
    origins = None if order is None else [(n, 0) for n in order[~is_discarded[order]].tolist()]
    needs_decoding = origins is None or _first_origins(path) != origins[:NUM_PROBED]
    if origins is None or needs_decoding:
        origins = _origins_by_decoding(path)
    if not origins:
        raise UnreadableVideo(f"{path}: found {len(labels)} packets and no picture, expected a video")
    packets, turns = np.array(origins, np.int64).T
    return FrameIndex(packets, turns, np.flatnonzero(is_key), places, needs_decoding)


def _order_by_times(
    container: InputContainer, stream: VideoStream, shown: np.ndarray, mpeg4: list[list[int]]
) -> np.ndarray | None:
    """Packets in the order in which their pictures come out, if the packets tell; None if they do not.

    Args:
        container: of the video.
        stream: the video.
        shown: (packets,) int64 when each packet is shown.
        mpeg4: of MPEG-4 part 2, the types of the pictures in each packet.
    """
    if len(shown) == 0 or (shown == UNSTATED).any() or len(np.unique(shown)) < len(shown):
        return None
    codec, order = stream.codec_context, np.argsort(shown)
    in_file_order = bool((np.diff(order) > 0).all())
    is_timed = _is_one_of(TIMED_CONTAINERS, container)
    if codec.codec.intra_only:
        return order if in_file_order and _is_one_of(ENTERED_CONTAINERS, container) else None
    if order[0] != 0:  # what is shown before the first key frame may not come out
        return None
    if codec.name == "mpeg4":
        is_whole = all(len(types) == 1 for types in mpeg4)
        rearranged = any(MPEG4_BOTH_SIDES in types for types in mpeg4)
        is_told = is_timed and not in_file_order if rearranged else in_file_order
        return order if is_whole and is_told and _is_one_of(ENTERED_CONTAINERS, container) else None
    # times that ascend although pictures are rearranged are those of decoding
    is_told = is_timed and not (in_file_order and codec.has_b_frames)
    return order if is_told and codec.name in ONE_PICTURE_A_PACKET else None


def _mpeg4_pictures(content: bytes) -> list[int]:
    """Types of the pictures in a packet of MPEG-4 part 2; none if it may hold nothing."""
    starts = content.split(MPEG4_PICTURE)[1:]
    return [start[0] >> 6 for start in starts] if len(content) >= MPEG4_NOTHING and all(starts) else []


def _first_origins(path: Path) -> list[tuple[int, int]]:
    with _opened(path) as (container, stream):
        decoded = _decoded(enumerate(_packets(container, stream)), failed=[])
        return [origin for origin, _ in islice(decoded, NUM_PROBED)]


def _origins_by_decoding(path: Path) -> list[tuple[int, int]]:
    """Packet and turn of all pictures that come out, and of those that could not be decoded."""
    failed: list[int] = []
    with _opened(path) as (container, stream):
        origins = [origin for origin, _ in _decoded(enumerate(_packets(container, stream)), failed)]
    for packet in failed:
        if origins and packet > origins[0][0]:  # before the first picture, what cannot be decoded is no frame
            later = (place for place, origin in enumerate(origins) if origin[0] > packet)
            origins.insert(next(later, len(origins)), (packet, 0))
    return origins


def _label(packet: av.Packet) -> tuple[int, int, int]:
    shown, decoded, place = (UNSTATED if value is None else value for value in (packet.pts, packet.dts, packet.pos))
    return shown, decoded, place


def _is_one_of(names: set[str], container: InputContainer) -> bool:
    return not names.isdisjoint(container.format.name.split(","))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    try:
        container = av.open(str(path), metadata_errors="replace")
    except FileNotFoundError:
        raise
    except av.FFmpegError as error:
        raise UnreadableVideo(f"{path}: found no video that can be read ({error.strerror})") from None
    with container:
        if not container.streams.video:
            raise UnreadableVideo(f"{path}: found no video stream, expected a video")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise UnreadableVideo(f"{path}: found a video stream of a codec that FFmpeg cannot decode")
        stream.codec_context.thread_count = 1
        num_pixels = stream.codec_context.width * stream.codec_context.height
        if num_pixels > MOST_PIXELS:
            raise UnreadableVideo(f"{path}: found frames of {num_pixels:,} pixels, expected at most {MOST_PIXELS:,}")
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}  # of frames that are larger than is stated
        try:
            yield container, stream
        except av.FFmpegError as error:
            raise UnreadableVideo(f"{path}: found a part that cannot be read ({error.strerror})") from None
