"""A camera's frames kept in a file, so that they can be drawn on when all answers are there."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

CLOCK = Fraction(1, 1000)


class Recording:
    """A video that grows frame by frame, each with its own time; nothing is left out, and little is lost.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._container = av.open(str(path), "w")
        self._stream: VideoStream | None = None
        self._last = -1

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *error: object) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def add(self, image: np.ndarray, seconds: float) -> None:
        """The next frame (height, width, 3) uint8 RGB, all of one size, and its time."""
        if self._stream is None:
            self._stream = _stream(self._container, image.shape[1], image.shape[0])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        self._last = frame.pts = max(round(seconds / CLOCK), self._last + 1)
        frame.time_base = CLOCK
        self._container.mux(self._stream.encode(frame.reformat(format="yuv444p")))


def _stream(container: av.container.OutputContainer, width: int, height: int) -> VideoStream:
    """H.264, which has pictures of odd sizes in this form, where the build has it; else FFV1, which is larger."""
    if "libx264" in av.codecs_available:
        stream = container.add_stream("libx264", options={"preset": "ultrafast", "crf": "12"})
    else:
        stream = container.add_stream("ffv1")
    stream.width, stream.height, stream.pix_fmt, stream.time_base = width, height, "yuv444p", CLOCK
    stream.codec_context.time_base = CLOCK
    return stream
