"""A clip of painted people to try predictions on: two of them, one of whom is away for a while."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np

from abaw_ray.disk import TEMPORARY, move
from abaw_ray.synthetic.behaviour import Behaviour, drift, head_motion, moving
from abaw_ray.synthetic.faces import Actions, Identity, Pose, random_identity
from abaw_ray.synthetic.labels import EXPRESSIONS
from abaw_ray.synthetic.scenes import Camera, Face, random_background, take_picture

WIDTH, HEIGHT, FRAME_RATE = 640, 480, 25
NUM_FRAMES = 300
AWAY = slice(150, 170)
"""Frames in which the second person is not there."""

CLEAR = Camera(light=(0.08, 0.05), gain=(1.0, 1.0, 1.0), blur=0.6, noise=0.0, jpeg_quality=95)
STREAM = 5

Performance = tuple[Identity, Behaviour, np.ndarray, np.ndarray]
"""A person, what the face does, turns of the head (frames, 3), and moves in pixels (frames, 2)."""


def write_clip(path: Path, seed: int, num_frames: int = NUM_FRAMES) -> None:
    """Writes the clip as motion JPEG in an AVI file: every expression once, at 25 frames a second.

    Args:
        path: of the file, which appears whole or not at all.
        seed: other seeds show other people.
        num_frames: at least 20.
    """
    rng = np.random.default_rng([seed, STREAM])
    cast = [_performance(rng, num_frames) for _ in range(2)]
    background = random_background(rng, WIDTH, HEIGHT)
    places = [np.array([share * WIDTH, 0.42 * HEIGHT]) for share in (0.28, 0.74)]
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=path.parent) as folder:
        part = Path(folder) / "clip.avi"
        _film(part, rng, cast, background, places, num_frames)
        move(part, path)


def _film(
    path: Path,
    rng: np.random.Generator,
    cast: list[Performance],
    background: np.ndarray,
    places: list[np.ndarray],
    num_frames: int,
) -> None:
    film = cv2.VideoWriter(
        str(path), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), FRAME_RATE, (WIDTH, HEIGHT)
    )
    if not film.isOpened():
        raise OSError(f"cannot write {path}: this OpenCV has no motion JPEG")
    for frame in range(num_frames):
        faces = []
        for number, ((who, behaviour, poses, sway), place) in enumerate(zip(cast, places, strict=True)):
            if number == 1 and AWAY.start <= frame < AWAY.stop:
                continue
            actions, pose = Actions(*behaviour.actions[frame].tolist()), Pose(*poses[frame].tolist())
            x, y = (place + sway[frame]).tolist()
            faces.append(Face(who, actions, pose, (x, y), 0.2 * HEIGHT))
        film.write(take_picture(rng, background, faces, CLEAR)[0])
    film.release()


def _performance(rng: np.random.Generator, num_frames: int) -> Performance:
    emotions = rng.permutation(np.arange(len(EXPRESSIONS))).tolist()
    behaviour = moving(rng, num_frames, emotions)
    return (
        random_identity(rng),
        behaviour,
        head_motion(rng, num_frames, (0.15, 0.08, 0.04)),
        8 * drift(rng, num_frames, 2, memory=40),
    )
