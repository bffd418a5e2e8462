"""AffectNet, manually annotated part: one labelled face a photo, two lists, classes outside the seven."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abaw_ray.databases.affectnet import NATIVE
from abaw_ray.synthetic.behaviour import NEUTRAL, deck, head_motion, still
from abaw_ray.synthetic.faces import Actions, Pose, random_identity
from abaw_ray.synthetic.labels import EXPRESSIONS
from abaw_ray.synthetic.records import NO_ACTION_UNITS, NO_EXPRESSION, FaceTruth, Written, write_jpeg
from abaw_ray.synthetic.scenes import Face, random_background, random_camera, take_picture

NAME = "affectnet"
STREAM = 4
LISTS = "Manually_Annotated_file_lists"
IMAGES = "Manually_Annotated_compressed/Manually_Annotated_Images"
HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
LABEL_NOISE = 0.05
NO_VA = -2
NUM_IMAGES = {"tiny": (96, 24), "small": (1320, 180), "medium": (3960, 540)}
IMAGES_PER_BATCH = 24
IMAGES_PER_FOLDER = 60
TRAINING_WEIGHTS = dict(zip(NATIVE, [0.22, 0.34, 0.10, 0.07, 0.04, 0.03, 0.08, 0.03, 0.04, 0.03, 0.02], strict=True))
VALIDATION_WEIGHTS = dict.fromkeys(NATIVE[:8], 1.0)


@dataclass(frozen=True)
class Batch:
    """Photos `first`, `first` + 1, ... of one list; `classes` are the drawn native classes by name."""

    seed: int
    list_name: str
    first: int
    classes: tuple[str, ...]

    @property
    def num_images(self) -> int:
        return len(self.classes)


def plan(seed: int, size: str) -> list[Batch]:
    rng = np.random.default_rng([seed, STREAM])
    training, validation = NUM_IMAGES[size]
    lists = {
        "training": deck(rng, training, TRAINING_WEIGHTS, at_least=4).tolist(),
        "validation": deck(rng, validation, VALIDATION_WEIGHTS, at_least=2).tolist(),
    }
    batches, first = [], 0
    for name, classes in lists.items():
        for start in range(0, len(classes), IMAGES_PER_BATCH):
            chosen = tuple(classes[start : start + IMAGES_PER_BATCH])
            batches.append(Batch(seed, name, first, chosen))
            first += len(chosen)
    return batches


def write(root: Path, batch: Batch) -> Written:
    """Writes the photos; their lines of the list are handed back."""
    file = f"{LISTS}/{batch.list_name}.csv"
    written = Written(lines={file: []})
    for number, name in enumerate(batch.classes, batch.first):
        rng = np.random.default_rng([batch.seed, STREAM, number])
        line, truth = _write_photo(rng, root, number, name)
        written.lines[file].append(line)
        written.truth.append(truth)
    written.counts["num_photos"] += len(batch.classes)
    return written


def header(file: str) -> list[str]:
    """Lines that a label file begins with: the validation list has no header."""
    return [HEADER] if file.endswith("training.csv") else []


def _write_photo(rng: np.random.Generator, root: Path, number: int, name: str) -> tuple[str, FaceTruth]:
    drawn = EXPRESSIONS.index(name) if name in EXPRESSIONS else NEUTRAL
    behaviour = still(rng, drawn)
    pose = Pose(*head_motion(rng, 1, (0.20, 0.11, 0.10))[0].tolist())
    width, height = (int(v) for v in rng.integers(120, 190, 2))
    scale = min(width, height) * rng.uniform(0.32, 0.40)
    centre = (float(width * rng.uniform(0.46, 0.54)), float(height * rng.uniform(0.40, 0.48)))
    face = Face(random_identity(rng), Actions(*behaviour.actions[0].tolist()), pose, centre, scale)
    camera = random_camera(rng)
    background = random_background(rng, width, height)
    picture, shapes = take_picture(rng, background, [face], camera)
    landmarks = shapes[0].landmarks()
    if name == "Non-Face":
        picture, _ = take_picture(rng, background, [], camera)
    path = f"{number // IMAGES_PER_FOLDER + 1}/{rng.bytes(12).hex()}.jpg"
    file = root / IMAGES / path
    file.parent.mkdir(parents=True, exist_ok=True)
    write_jpeg(file, picture, camera.jpeg_quality)

    inside = name in EXPRESSIONS
    noisy = bool(inside and rng.random() < LABEL_NOISE)
    label = NATIVE.index(name)
    if noisy:
        label = (label + int(rng.integers(1, len(EXPRESSIONS)))) % len(EXPRESSIONS)
    va = behaviour.va[0]
    rated = np.clip(va + rng.normal(0, 0.06, 2), -1, 1).round(6) if inside else np.full(2, NO_VA)
    landmarks = (landmarks + rng.normal(0, 0.012 * scale, landmarks.shape)).round(2)
    x, y = landmarks.min(axis=0).astype(int).tolist()
    w, h = np.ptp(landmarks, axis=0).astype(int).tolist()
    points = ";".join(f"{v:.2f}" for v in landmarks.ravel())
    line = f"{path},{x},{y},{w},{h},{points},{label},{rated[0]:g},{rated[1]:g}"
    truth = FaceTruth(
        database=NAME,
        video=path,
        frame=0,
        image=f"{IMAGES}/{path}",
        identity=number,
        expression=drawn if inside else NO_EXPRESSION,
        intensity=float(behaviour.intensity[0]) if inside else float("nan"),
        valence=float(va[0]) if inside else float("nan"),
        arousal=float(va[1]) if inside else float("nan"),
        action_units=behaviour.action_units[0].tolist() if inside else NO_ACTION_UNITS,
        has_expression_label=True,
        has_va_label=True,
        has_au_label=False,
        expression_invalid=not inside,
        va_invalid=not inside,
        au_invalid=False,
        expression_noisy=noisy,
        va_noisy=inside,
        au_noisy=False,
        image_missing=False,
    )
    return line, truth
