"""Readers of pictures, videos, sound and vectors: what cannot be read is a reason to leave a sample out."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

from fuzz.engine import Harness, Target
from fuzz.of_databases import write


def _picture(ending: str, *parameters: int) -> Harness:
    def make(root: Path) -> Target:
        import cv2
        import numpy as np

        from abaw_ray.preprocess.decoding import UnreadableImage, read_image

        image = np.arange(24 * 20 * 3, dtype=np.uint8).reshape(24, 20, 3)
        file = write(root / f"a{ending}", cv2.imencode(ending, image, parameters)[1].tobytes())

        def read() -> None:
            for keep_damaged in (False, True):
                try:
                    read_image(file, apply_orientation=True, keep_damaged=keep_damaged)
                except UnreadableImage:
                    continue

        return Target(file, read)

    return make


def _video(ending: str, **options: Any) -> Harness:
    def make(root: Path) -> Target:
        from films import film, picture  # of the tests

        from abaw_ray.video import frame_times, num_frames, read_frames

        file = film(root / f"a{ending}", [picture(number) for number in range(6)], **options)

        def read() -> None:
            for _ in read_frames(file, range(num_frames(file))):
                pass
            frame_times(file)

        return Target(file, read)

    return make


def _sound(root: Path) -> Target:
    from abaw_ray.sound import UnreadableSound, read_sound

    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(range(256)) * 8)
    file = write(root / "a.wav", buffer.getvalue())

    def read() -> None:
        try:
            read_sound(file, 16_000)
        except UnreadableSound:
            return

    return Target(file, read)


def _vectors(root: Path) -> Target:
    import numpy as np
    import pyarrow as pa

    from abaw_ray.streams.base import Stream
    from abaw_ray.streams.kind import CutSettings
    from abaw_ray.streams.vector import KIND

    buffer = io.BytesIO()
    np.save(buffer, np.arange(8, dtype=np.float32).reshape(2, 4))
    file = write(root / "a.npy", buffer.getvalue())
    rows = pa.table(
        {"video": ["a"], "frame": pa.array([1], pa.int32()), "image": ["a.npy"], "geometry": [[0.0]]},
    )
    stream = Stream(name="vectors", kind="vector", size=4, encoding="float32")
    return Target(file, lambda: KIND.cut(rows, root, stream, CutSettings()))


HARNESSES: dict[str, Harness] = {
    "picture-jpeg": _picture(".jpg"),
    "picture-progressive": _picture(".jpg", 2, 1),
    "picture-png": _picture(".png"),
    "picture-webp": _picture(".webp"),
    "picture-tiff": _picture(".tiff"),
    "picture-bmp": _picture(".bmp"),
    "video-mp4": _video(".mp4"),
    "video-avi": _video(".avi", codec="mjpeg", pixels="yuvj420p"),
    "video-mkv": _video(".mkv", codec="mpeg4", b_frames=2),
    "sound-wav": _sound,
    "vectors": _vectors,
}
