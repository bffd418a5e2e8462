"""Generated (synthetic) clips of people who are seen and, in part 2, heard, in the layout of HEU Emotion.

A voice is a tone: its pitch is who speaks, how fast it swells and fades is the emotion. Faces, and the bodies that they
are cut out of, show eight of the ten classes each in its own way; the other two, `HEARD`, look the same, and are told
apart by sound alone. These two are in part 2 only.
"""

from __future__ import annotations

import csv
import io
import wave
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from abaw_ray.databases.reading.clip_manifest import NAMES, SPLIT
from abaw_ray.databases.reading.generated import GENERATED
from abaw_ray.databases.reading.spaces import TEN_EXPRESSIONS
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.synthetic.behaviour import MOVES, head_motion
from abaw_ray.synthetic.faces import Actions, Identity, Pose, random_identity
from abaw_ray.synthetic.markers import earlier_output, require_size, write_marker
from abaw_ray.synthetic.records import write_jpeg, write_png
from abaw_ray.synthetic.scenes import Camera, Face, random_background, take_picture

NAME = "heu"
STREAM = 17
FPS = 5
"""Frames a second."""
FIRST_FRAME = 2
"""Faces are found from this frame on, so that there is sound before them."""
CLASSES = TEN_EXPRESSIONS.names
HEARD = ("Bored", "Disappointed")
"""The classes that look the same."""
_BORED = {"eye_open": -0.9, "brow_raise": 0.7, "press": 1.0, "corner": 0.3}
LOOKS = MOVES | {
    "Bored": _BORED,
    "Confused": {"frown": 1.0, "brow_raise": 0.9, "stretch": -0.7, "upper_lip": 0.5},
    "Disappointed": _BORED,
}
"""Class -> movement of the face -> how far it goes."""

NATIVE = dict(
    zip(
        CLASSES,
        (
            "neutral",
            "anger",
            "disgust",
            "fear",
            "happy",
            "sad",
            "surprise",
            "bored",
            "confused",
            "disappointed",
        ),
        strict=True,
    )
)
LANGUAGES = ("English", "Korean", "Mandarin")
VALIDATION_ONE_IN = 3
WIDTH, HEIGHT, FACE_SIDE = 112, 144, 64
"""Of a picture of a body, and of a face, in pixels."""
RATE = 16_000
"""Samples of sound a second."""
SLOWEST, FASTER, DEPTH = 2.0, 1.3, 0.95
"""Swells a second of the first class, and by how much the next one's are faster; how far the sound fades."""
LOWEST_PITCH, OCTAVES, NUM_HARMONICS = 110.0, 1.5, 8
CAMERA = Camera(light=(0.0, 0.0), gain=(1.0, 1.0, 1.0), blur=0.0, noise=3.0, jpeg_quality=95)


@dataclass(frozen=True)
class Size:
    """How many subjects, clips of each, and frames of a clip."""

    subjects: int
    clips: int
    frames: int


SIZES = {"tiny": Size(6, 8, 2), "small": Size(90, 12, 2), "medium": Size(150, 30, 4)}


def generate_speakers(
    out: Path, seed: int, size: str, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Writes `out`/heu: clips of `SIZES[size].subjects` subjects, every other one in part 2, a third for validation.

    The files depend on `seed` and `size` alone. A complete output of the same seed and size is left as it is.

    Args:
        out: folder to write; new or empty.
        seed: at least 0.
        size: a name in `SIZES`.
        progress: called with (subjects done, subjects in all).

    Returns:
        `seed`, `size`, `layout`, and `counts`: part and split -> clips.

    Raises:
        ConfigurationError: an unknown size, or a folder with other contents.
        StorageError: the disk is full, or cannot be written.
    """
    require_size(size, SIZES, "clips")
    described: dict[str, Any] = {"synthetic": True, "seed": seed, "size": size, "layout": NAME}
    if (found := earlier_output(out, described)) is not None:
        return found
    wanted = SIZES[size]
    counts: Counter[str] = Counter()
    with OwnedFolder(out, "generated clips", (GENERATED,)).held(fresh=True, whole=True):
        lines = []
        for subject in range(wanted.subjects):
            written = _write_subject(out / NAME, seed, subject, wanted)
            counts.update(f"part {line['part']}, {line[SPLIT]}" for line in written)
            lines += written
            if progress is not None:
                progress(subject + 1, wanted.subjects)
        table = io.StringIO()
        writer = csv.DictWriter(table, [*NAMES, SPLIT], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        (out / NAME / "manifest.csv").write_text(table.getvalue(), newline="\n")
        described |= {"counts": dict(sorted(counts.items()))}
        write_marker(out, described)
    return described


def split_of(subject: int) -> str:
    """Every third subject of a part is for validation."""
    return "validation" if subject // 2 % VALIDATION_ONE_IN == VALIDATION_ONE_IN - 1 else "train"


def language_of(subject: int) -> str:
    """What a subject of part 2 speaks: those of both splits speak each language."""
    return LANGUAGES[subject // (2 * VALIDATION_ONE_IN) % len(LANGUAGES)]


def _write_subject(root: Path, seed: int, subject: int, size: Size) -> list[dict[str, str]]:
    """Writes the clips of a subject; gives their lines of the manifest."""
    rng = np.random.default_rng([seed, STREAM, subject])
    who, part = random_identity(rng), 1 + subject % 2
    pitch = LOWEST_PITCH * 2 ** (OCTAVES * rng.random())
    shown = [name for name in CLASSES if part == 2 or name not in HEARD]
    emotions = rng.permutation([shown[(subject // 2 + k) % len(shown)] for k in range(size.clips)])
    lines = []
    for number, emotion in enumerate(emotions.tolist()):
        name = f"s{subject:03d}_{number:03d}"
        _write_pictures(rng, root, name, who, LOOKS[emotion], size.frames)
        line = {
            "clip_id": name,
            "part": str(part),
            "path_face_frames": f"faces/{name}",
            "path_body": f"bodies/{name}",
            "label": NATIVE[emotion],
            "subject_id": f"S{subject:03d}",
            SPLIT: split_of(subject),
        }
        if part == 2:
            line |= {"path_audio": f"audio/{name}.wav", "language": language_of(subject)}
            seconds = (FIRST_FRAME + size.frames) / FPS + 0.2
            _write_sound(root / line["path_audio"], voice(rng, pitch, emotion, seconds))
        lines.append(line)
    return lines


def _write_pictures(
    rng: np.random.Generator, root: Path, name: str, who: Identity, look: Mapping[str, float], num_frames: int
) -> None:
    faces, bodies = root / "faces" / name, root / "bodies" / name
    for folder in (faces, bodies):
        folder.mkdir(parents=True)
    background = random_background(rng, WIDTH, HEIGHT)
    poses = head_motion(rng, num_frames, (0.12, 0.06, 0.06))
    centre, scale = np.array([WIDTH / 2, 0.36 * HEIGHT]) + rng.normal(0, 2, 2), WIDTH * rng.uniform(0.21, 0.23)
    rest = np.array([rng.uniform(1.0, 1.25) * look.get(action, 0.0) for action in Actions._fields])
    for frame in range(num_frames):
        actions = Actions(*(rest + rng.normal(0, 0.05, len(rest))).tolist())
        face = Face(who, actions, Pose(*poses[frame].tolist()), (float(centre[0]), float(centre[1])), float(scale))
        picture, _ = take_picture(rng, background, [face], CAMERA)
        number = f"{FIRST_FRAME + frame + 1:05d}"
        left, top = (centre - [1.25 * scale, 1.15 * scale]).round().astype(int)
        side = round(2.5 * scale)
        cropped = picture[max(top, 0) : top + side, max(left, 0) : left + side]
        write_png(faces / f"{number}.png", cv2.resize(cropped, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_AREA))
        write_jpeg(bodies / f"{number}.jpg", picture, CAMERA.jpeg_quality)


def voice(rng: np.random.Generator, pitch: float, emotion: str, seconds: float) -> np.ndarray:
    """A voice (samples,) from -1 to 1: a tone of a pitch in Hz that swells and fades as often as the emotion says."""
    moments = np.arange(round(seconds * RATE)) / RATE
    swells = SLOWEST * FASTER ** CLASSES.index(emotion) * rng.uniform(0.97, 1.03)
    envelope = 1 - DEPTH * np.sin(np.pi * (swells * moments + rng.random())) ** 2
    harmonics = np.arange(1, NUM_HARMONICS + 1)
    phases = rng.uniform(0, 2 * np.pi, NUM_HARMONICS)
    tone = (np.sin(2 * np.pi * pitch * harmonics[:, None] * moments + phases[:, None]) / harmonics[:, None]).sum(0)
    return 0.25 * envelope * tone + rng.normal(0, 0.005, len(moments))


def _write_sound(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
