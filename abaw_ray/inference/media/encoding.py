"""How annotated videos are encoded: as all browsers can play them, where PyAV's build has such an encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw_ray.errors import UserError

if TYPE_CHECKING:
    from av.container import OutputContainer

TIME_BASE = Fraction(1, 60_000)
"""Seconds in which times are stated: MPEG-4 knows none finer, and those of usual rates are at most half of it off."""
COPIED_SOUND = {"aac", "mp3", "mp3float"}
"""Sound (by FFmpeg's names) that an MP4 file takes as it is."""
BITS_A_PIXEL = 0.12


class NoEncoder(UserError, RuntimeError):
    """PyAV was built without any of the encoders of video."""


@dataclass(frozen=True)
class Encoding:
    """A kind of video file.

    Args:
        codec: FFmpeg's name of the encoder.
        container: FFmpeg's name of the container.
        suffix: of the file.
        sound: FFmpeg's name of the encoder of sound.
        copied: codecs of sound that are taken as they are.
        options: of the encoder.
    """

    codec: str
    container: str
    suffix: str
    sound: str
    copied: frozenset[str] = frozenset()
    options: dict[str, str] = field(default_factory=dict)


ENCODINGS = (
    Encoding("libx264", "mp4", ".mp4", "aac", frozenset(COPIED_SOUND), {"preset": "veryfast", "crf": "21"}),
    Encoding("libopenh264", "mp4", ".mp4", "aac", frozenset(COPIED_SOUND)),
    Encoding("libvpx-vp9", "webm", ".webm", "libopus", frozenset({"opus"}), {"deadline": "realtime", "cpu-used": "7"}),
    Encoding("mpeg4", "mp4", ".mp4", "aac", frozenset(COPIED_SOUND)),
)
"""The best first; the last is not played by browsers."""


def best_encoding() -> Encoding:
    """The first of `ENCODINGS` that this PyAV has.

    Raises:
        NoEncoder: it has none.
    """
    import av

    for encoding in ENCODINGS:
        try:
            av.Codec(encoding.codec, "w")
        except ValueError:
            continue
        return encoding
    raise NoEncoder(
        f"found no encoder of video in PyAV {av.__version__}, expected one of {[e.codec for e in ENCODINGS]}"
    )


class VideoTrack:
    """The pictures of a video that is being written.

    Args:
        out: the file.
        encoding: of it.
        shape: of pictures, (H, W, 3); at odd sizes the last row or column is written twice.
        rate: frames a second, of which only the size of the file depends.
        pixel_shape: width of a pixel divided by its height.
    """

    def __init__(
        self, out: OutputContainer, encoding: Encoding, shape: tuple[int, ...], rate: Fraction, pixel_shape: Fraction
    ) -> None:
        self.out, self._last = out, -1
        self._size = {"height": shape[0] + shape[0] % 2, "width": shape[1] + shape[1] % 2}
        stream: Any = out.add_stream(encoding.codec, rate=rate, options=encoding.options)
        self.stream = stream
        stream.height, stream.width = self._size["height"], self._size["width"]
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        codec.time_base, codec.sample_aspect_ratio = TIME_BASE, pixel_shape
        codec.gop_size = max(1, round(rate))  # a player that is moved decodes a second at most
        codec.colorspace = codec.color_primaries = codec.color_trc = 1  # BT.709
        codec.color_range = 1  # from 16 to 235
        if "crf" not in encoding.options:
            codec.bit_rate = round(BITS_A_PIXEL * stream.height * stream.width * float(rate))

    def write(self, image: np.ndarray, time: float) -> None:
        """Adds a picture (H, W, 3) uint8 RGB, at seconds after the first; one of another size is resized."""
        import av
        from av.video.reformatter import ColorRange, Colorspace

        odd = image.shape[0] % 2, image.shape[1] % 2
        if any(odd):
            image = np.pad(image, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            **self._size, format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        frame.pts, frame.time_base = max(round(time / TIME_BASE), self._last + 1), TIME_BASE
        self._last = frame.pts
        self.out.mux(self.stream.encode(frame))

    def finish(self) -> None:
        """Writes what the encoder still holds."""
        self.out.mux(self.stream.encode(None))
