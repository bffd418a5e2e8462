"""Frame k of a video is the k-th picture of a plain decoding loop, in every container and codec, whole and in parts.

Each clip shows a square that stands further to the right, and then further down, in every picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from abaw_ray import video
from abaw_ray.video import UnreadableVideo, num_frames, read_frames

NUM_PICTURES, SIDE, COLUMNS = 30, 16, 8
WIDTH, HEIGHT = SIDE * COLUMNS, SIDE * 4
RATE = 25

ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "mpeg4": "mpeg4",
    "mpeg2": "mpeg2video",
    "mjpeg": "mjpeg",
    "vp9": "libvpx-vp9",
}

MUXED = {
    "avi": ("h264", "mpeg4", "mpeg2", "mjpeg", "vp9"),
    "mp4": ("h264", "hevc", "mpeg4", "mpeg2", "mjpeg", "vp9"),
    "mkv": ("h264", "hevc", "mpeg4", "mpeg2", "mjpeg", "vp9"),
    "mov": ("h264", "hevc", "mpeg4", "mpeg2", "mjpeg"),
    "webm": ("vp9",),
    "ts": ("h264", "hevc", "mpeg4", "mpeg2"),
    "mpg": ("h264", "hevc", "mpeg4", "mpeg2"),
}
"""Container -> the codecs that its muxer takes."""

VARIANTS: dict[str, tuple[str, ...]] = {
    "no B-frames": tuple(ENCODERS),
    "B-frames": ("h264", "hevc", "mpeg4", "mpeg2"),
    "open GOP": ("h264", "hevc", "mpeg2"),
    "packed": ("mpeg4",),
    "repeats": ("mpeg4",),
    "times of decoding": ("h264", "hevc", "mpeg4", "mpeg2"),
    "edit list": ("h264", "hevc", "mpeg4", "mpeg2", "mjpeg"),
    "first key frame missing": ("h264", "hevc", "mpeg4", "mpeg2", "vp9"),
    "variable rate": tuple(ENCODERS),
}
"""Variant -> the codecs that have it."""

ONLY_IN = {
    "packed": ("avi",),
    "repeats": ("avi", "mp4", "mkv"),
    "times of decoding": ("mp4", "mkv"),
    "edit list": ("mp4", "mov"),
    "variable rate": ("mp4", "mkv", "mov", "webm", "ts"),
}
"""Variant -> the containers that have it; all where it is not named."""

CASES = [
    pytest.param(container, codec, variant, id=f"{container}-{codec}-{variant}".replace(" ", "-"))
    for container, codecs in MUXED.items()
    for codec in codecs
    for variant, of_codecs in VARIANTS.items()
    if codec in of_codecs and container in ONLY_IN.get(variant, MUXED)
]


def picture(number: int) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    y, x = divmod(number, COLUMNS)
    image[y * SIDE : (y + 1) * SIDE, x * SIDE : (x + 1) * SIDE] = 230
    return image


def number_of(image: np.ndarray) -> int:
    cells = image[:, :, 1].reshape(HEIGHT // SIDE, SIDE, COLUMNS, SIDE).mean((1, 3))
    return int(cells.argmax())


def options(codec: str, variant: str) -> dict[str, str]:
    """Of the encoder: a key frame every ten pictures, few losses."""
    is_open = int(variant == "open GOP")
    x26 = f"open-gop={is_open}:scenecut=0:keyint=10:min-keyint=10:b-adapt=0:bframes={num_b_frames(variant)}"
    of_codec = {
        "h264": {"x264-params": x26, "crf": "10"},
        "hevc": {"x265-params": f"{x26}:log-level=none", "crf": "10"},
        "vp9": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "crf": "10"},
        "mpeg2": {"qscale": "2", "sc_threshold": "1000000000", "flags": "-cgop" if is_open else "+cgop"},
    }
    return of_codec.get(codec, {"qscale": "2"})


def num_b_frames(variant: str) -> int:
    return {"B-frames": 2, "open GOP": 2, "packed": 1, "times of decoding": 2}.get(variant, 0)


def clip(path: Path, codec: str, variant: str, of_encoder: dict[str, str] | None = None) -> Path:
    """Writes a clip of NUM_PICTURES pictures; `of_encoder` replaces the options of the codec and variant."""
    times = [2 * n + n % 2 for n in range(NUM_PICTURES)] if variant == "variable rate" else list(range(NUM_PICTURES))
    with_edits = {"avoid_negative_ts": "disabled", "use_editlist": "1"} if variant == "edit list" else {}
    with av.open(str(path), "w", options=with_edits) as out:
        stream = out.add_stream(ENCODERS[codec], rate=RATE, options=of_encoder or options(codec, variant))
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size, stream.max_b_frames = 10, num_b_frames(variant)
        stream.codec_context.time_base = Fraction(1, RATE)
        packets = []
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, RATE)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in CHANGES.get(variant, list)(packets):
            packet.stream = stream
            out.mux(packet)
    return path


def without_the_first(packets: list[av.Packet]) -> list[av.Packet]:
    return packets[1:]


def begun_before_zero(packets: list[av.Packet]) -> list[av.Packet]:
    """Pictures before time 0 are left out by the edit list that the muxer writes."""
    for packet in packets:
        packet.pts, packet.dts = packet.pts - 4, packet.dts - 4
    return packets


def packed(packets: list[av.Packet]) -> list[av.Packet]:
    """As XviD and DivX pack B-frames: in one packet with the P-frame before them, then a packet that codes nothing."""
    nothing = b"\x00\x00\x01\xb6\x50\x4f"
    contents = [bytes(p) for p in packets]
    vop = contents[0].index(b"\x00\x00\x01\xb6")
    contents[0] = contents[0][:vop] + b"\x00\x00\x01\xb2DivX503b1393p" + contents[0][vop:]
    result, number = [], 0
    while number < len(packets):
        is_pair = number + 1 < len(packets) and packets[number + 1].pts < packets[number].pts
        parts = [contents[number] + contents[number + 1], nothing] if is_pair else [contents[number]]
        for content in parts:
            made = av.Packet(content)
            made.pts = made.dts = len(result)
            made.time_base, made.is_keyframe = packets[0].time_base, packets[number].is_keyframe and len(content) > 9
            result.append(made)
        number += len(parts)
    return result


def times_of_decoding(packets: list[av.Packet]) -> list[av.Packet]:
    """As a muxer does that is told nothing of the order in which pictures are shown."""
    for number, packet in enumerate(packets):
        packet.pts = packet.dts = number
    return packets


def with_repeats(packets: list[av.Packet]) -> list[av.Packet]:
    """Two packets in the middle say that the picture before stays."""
    result = []
    for number, packet in enumerate(packets):
        for content in [b"\x00\x00\x01\xb6\x50\x4f", bytes(packet)] if number in (18, 24) else [bytes(packet)]:
            made = av.Packet(content)
            made.pts = made.dts = len(result)
            made.time_base, made.is_keyframe = packet.time_base, packet.is_keyframe and len(content) > 9
            result.append(made)
    return result


CHANGES: dict[str, Callable[[list[av.Packet]], list[av.Packet]]] = {
    "first key frame missing": without_the_first,
    "edit list": begun_before_zero,
    "packed": packed,
    "times of decoding": times_of_decoding,
    "repeats": with_repeats,
}


def decoded(path: Path) -> list[int | None]:
    """What each picture of a plain decoding loop shows; None where it is damaged."""
    found: list[int | None] = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            found += [None if f.is_corrupt else number_of(f.to_ndarray(format="rgb24")) for f in frames]
    return found


@pytest.mark.parametrize(("container", "codec", "variant"), CASES)
def test_frames_are_those_of_a_plain_decoding_loop(tmp_path: Path, container: str, codec: str, variant: str) -> None:
    path = clip(tmp_path / f"a.{container}", codec, variant)
    expected = {n: shown for n, shown in enumerate(decoded(path)) if shown is not None}
    if variant not in ("edit list", "first key frame missing"):
        assert list(expected.values()) == list(range(NUM_PICTURES)), "the clip is not what it is meant to be"
    total = max(expected) + 1
    assert num_frames(path) == total
    parts = [list(range(total)), *([n] for n in range(total)), list(range(7, total)), list(range(12, 17)), [3, 14, 25]]
    for part in parts:
        found = {number: number_of(image) for number, image in read_frames(path, part)}
        assert found == {n: expected[n] for n in part if n in expected}


def test_pictures_that_are_refreshed_part_by_part_are_read_from_anywhere(tmp_path: Path) -> None:
    refreshed = {"x264-params": "intra-refresh=1:keyint=10:bframes=0:scenecut=0", "crf": "10"}
    path = clip(tmp_path / "a.mp4", "h264", "no B-frames", refreshed)
    for number in range(NUM_PICTURES):
        assert [(n, number_of(image)) for n, image in read_frames(path, [number])] == [(number, number)]


@pytest.mark.parametrize("container", ["avi", "mp4"])
def test_a_damaged_picture_keeps_its_number_where_pictures_are_rearranged(tmp_path: Path, container: str) -> None:
    path = clip(tmp_path / f"a.{container}", "h264", "B-frames")
    with av.open(str(path)) as opened:
        packet = [bytes(p) for p in opened.demux(video=0) if p.size][11]
    content = path.read_bytes()
    path.write_bytes(content.replace(packet, packet[:8] + bytes(len(packet) - 8)))
    assert num_frames(path) == NUM_PICTURES
    found = {n: number_of(image) for n, image in read_frames(path, range(NUM_PICTURES))}
    assert len(found) == NUM_PICTURES - 1
    unspoiled = [*range(10), *range(20, NUM_PICTURES)]  # the others are predicted from it, up to the next key frame
    assert {n: found[n] for n in unspoiled} == {n: n for n in unspoiled}


def test_a_part_is_not_decoded_from_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip(tmp_path / "a.avi", "h264", "B-frames")
    assert num_frames(path) == NUM_PICTURES, "numbered by decoding it once"
    num_decoded = 0
    decoded_plainly = video._decoded

    def counted(*args: Any, **options: Any) -> Iterator[Any]:
        nonlocal num_decoded
        for picture in decoded_plainly(*args, **options):
            num_decoded += 1
            yield picture

    monkeypatch.setattr(video, "_decoded", counted)
    assert sorted(n for n, _ in read_frames(path, [25, 26])) == [25, 26]
    assert 2 <= num_decoded <= 10


def test_a_codec_that_cannot_be_decoded_is_named_with_its_file(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mpg", "mjpeg", "no B-frames")  # this container has no name for the codec
    with pytest.raises(UnreadableVideo, match=r"a\.mpg.*cannot decode"):
        num_frames(path)
