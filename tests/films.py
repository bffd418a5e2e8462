"""Videos for tests. A `picture` shows its own number as black and white bars."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

NUM_BITS, BAR = 9, 16
WIDTH, HEIGHT = NUM_BITS * BAR, 48


def picture(number: int) -> np.ndarray:
    bits = [number >> bit & 1 for bit in range(NUM_BITS)]
    return np.broadcast_to(np.repeat(bits, BAR)[None, :, None] * np.uint8(255), (HEIGHT, WIDTH, 3)).astype(np.uint8)


def number_of(image: np.ndarray) -> int:
    bars = image[:, :, 1].reshape(HEIGHT, NUM_BITS, BAR).mean((0, 2)) > 127
    return int((bars << np.arange(NUM_BITS)).sum())


def film(
    path: Path,
    pictures: list[np.ndarray],
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    b_frames: int = 0,
    times: list[int] | None = None,
) -> Path:
    """A video with a key frame every twelfth frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.gop_size, stream.max_b_frames = pixels, 12, b_frames
        stream.codec_context.time_base = Fraction(1, 25)
        for number, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = times[number] if times else number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def scenes(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    return [rng.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(count)]
