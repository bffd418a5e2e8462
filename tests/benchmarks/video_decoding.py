"""Frames of a video by PyAV, as `prepare` reads them, and by OpenCV: run `python tests/benchmarks/video_decoding.py`.

A synthetic video (H.264, 640 x 360, a key frame every 250 frames) is decoded to RGB by one thread each, by turns: every
frame, and the 200 frames of a segment in the middle (OpenCV can only seek to a frame and hope; it reads up to it here).
As in `prepare`, a process numbers the frames of a video once: that is in the first of the repeats alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from report import Target, emit, spread

from abaw_ray.video import read_frames

WIDTH, HEIGHT, RATE = 640, 360, 25
SEGMENT = 200


def make_video(path: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    scene = cv2.resize(rng.integers(0, 256, (40, 80, 3), dtype=np.uint8), (2 * WIDTH, HEIGHT), fx=0, fy=0)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", 250
        stream.codec_context.time_base = Fraction(1, RATE)
        for number in range(count):
            left = number % WIDTH
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(scene[:, left : left + WIDTH], np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def by_pyav(path: Path, numbers: range) -> int:
    return sum(1 for _ in read_frames(path, numbers))


def by_opencv(path: Path, numbers: range) -> int:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    found = 0
    for number in range(numbers.stop):
        if number < numbers.start:
            capture.grab()
            continue
        read, image = capture.read()
        if read:
            cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            found += 1
    capture.release()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    middle = arguments.frames // 2
    parts = {"all frames": range(arguments.frames), "a segment": range(middle, middle + SEGMENT)}
    ways: dict[str, Callable[[Path, range], int]] = {"PyAV": by_pyav, "OpenCV": by_opencv}
    rates: dict[str, list[float]] = {f"{part}, {way}": [] for part in parts for way in ways}
    with tempfile.TemporaryDirectory() as name:
        video = Path(name) / "video.mp4"
        make_video(video, arguments.frames)
        for _ in range(arguments.repeats):
            for part, numbers in parts.items():
                for way, read in ways.items():
                    started = time.perf_counter()
                    assert read(video, numbers) == len(numbers)
                    rates[f"{part}, {way}"].append(len(numbers) / (time.perf_counter() - started))
    results = {name: spread(found) for name, found in rates.items()}
    ratio = results["all frames, PyAV"].median / results["all frames, OpenCV"].median
    emit("video_decoding", {"frames_per_second": results}, [Target("PyAV / OpenCV, frames/s", ratio, 1.0)], ["av"])


if __name__ == "__main__":
    main()
