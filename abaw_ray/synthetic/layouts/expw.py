"""ExpW: web photos of one to four people, a box and an expression for each face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abaw_ray.databases.expw import CLASSES
from abaw_ray.synthetic.behaviour import deck, head_motion, still
from abaw_ray.synthetic.faces import Actions, Pose, Shape, random_identity
from abaw_ray.synthetic.labels import EXPRESSIONS
from abaw_ray.synthetic.records import FaceTruth, Written, write_jpeg
from abaw_ray.synthetic.scenes import Face, box_of, random_background, random_camera, take_picture

NAME = "expw"
STREAM = 2
LABEL_FILE = "label.lst"
LABEL_NOISE = 0.10
NUM_FACES = {"tiny": 84, "small": 1500, "medium": 4500}
PHOTOS_PER_BATCH = 24
LARGEST_GROUP = 4
ONE_MISSING_IN = 400  # photos
EXPRESSION_WEIGHTS = {
    "Neutral": 0.34,
    "Anger": 0.06,
    "Disgust": 0.05,
    "Fear": 0.03,
    "Happiness": 0.30,
    "Sadness": 0.13,
    "Surprise": 0.09,
}


@dataclass(frozen=True)
class Photo:
    """A photo; `expressions` are the drawn classes of its faces from left to right."""

    number: int
    first_identity: int
    expressions: tuple[int, ...]
    missing: bool

    @property
    def name(self) -> str:
        return f"web_photo_{self.number:05d}.jpg"


@dataclass(frozen=True)
class Batch:
    seed: int
    photos: tuple[Photo, ...]

    @property
    def num_images(self) -> int:
        return len(self.photos)


def plan(seed: int, size: str) -> list[Batch]:
    rng = np.random.default_rng([seed, STREAM])
    num_faces = NUM_FACES[size]
    expressions = [EXPRESSIONS.index(n) for n in deck(rng, num_faces, EXPRESSION_WEIGHTS, at_least=4)]
    photos: list[Photo] = []
    first = 0
    while first < num_faces:
        number = len(photos)
        group = number + 1 if number < LARGEST_GROUP else 1 + int(rng.choice(LARGEST_GROUP, p=[0.6, 0.2, 0.12, 0.08]))
        chosen = tuple(expressions[first : first + group])
        photos.append(Photo(number, first, chosen, missing=number % ONE_MISSING_IN == 5))
        first += len(chosen)
    return [Batch(seed, tuple(photos[i : i + PHOTOS_PER_BATCH])) for i in range(0, len(photos), PHOTOS_PER_BATCH)]


def write(root: Path, batch: Batch) -> Written:
    """Writes the photos; their lines of the label file are handed back."""
    (root / "image").mkdir(parents=True, exist_ok=True)
    written = Written(lines={LABEL_FILE: []})
    for photo in batch.photos:
        _write_photo(np.random.default_rng([batch.seed, STREAM, photo.number]), root, photo, written)
    return written


def _write_photo(rng: np.random.Generator, root: Path, photo: Photo, written: Written) -> None:
    group = len(photo.expressions)
    height = int(rng.integers(130, 220))
    room = int(rng.integers(95, 150))  # width for each face
    width = max(group * room, 140)
    camera = random_camera(rng)
    faces, behaviours = [], []
    for place, expression in enumerate(photo.expressions):
        behaviour = still(rng, expression)
        scale = rng.uniform(0.27, 0.40) * min(width / group, height)
        x = (place + 0.5) * width / group + rng.normal(0, 0.1 * room)
        y = height * rng.uniform(0.3, 0.6)
        pose = Pose(*head_motion(rng, 1, (0.22, 0.12, 0.12))[0].tolist())
        faces.append(Face(random_identity(rng), Actions(*behaviour.actions[0].tolist()), pose, (x, y), scale))
        behaviours.append(behaviour)
    picture, shapes = take_picture(rng, random_background(rng, width, height), faces, camera)
    if not photo.missing:
        write_jpeg(root / "image" / photo.name, picture, camera.jpeg_quality)

    for place, (behaviour, shape) in enumerate(zip(behaviours, shapes, strict=True)):
        expression = int(behaviour.expression[0])
        noisy = bool(rng.random() < LABEL_NOISE)
        label = (expression + int(rng.integers(1, len(EXPRESSIONS)))) % len(EXPRESSIONS) if noisy else expression
        left, top, right, bottom = _box(rng, shape)
        written.lines[LABEL_FILE].append(
            f"{photo.name} {place} {top} {left} {right} {bottom} {rng.uniform(3, 120):.4f} {CLASSES.index(label)}"
        )
        written.truth.append(
            FaceTruth(
                database=NAME,
                video=photo.name,
                frame=place,
                image=f"image/{photo.name}",
                identity=photo.first_identity + place,
                expression=expression,
                intensity=float(behaviour.intensity[0]),
                valence=float(behaviour.va[0, 0]),
                arousal=float(behaviour.va[0, 1]),
                action_units=behaviour.action_units[0].tolist(),
                has_expression_label=True,
                has_va_label=False,
                has_au_label=False,
                expression_invalid=False,
                va_invalid=False,
                au_invalid=False,
                expression_noisy=noisy,
                va_noisy=False,
                au_noisy=False,
                image_missing=photo.missing,
            )
        )
        outside = left < 0 or top < 0 or right > width or bottom > height
        written.counts["num_boxes_across_the_border"] += int(outside)
    written.counts["num_photos"] += 1
    written.counts["num_photos_of_several_faces"] += int(group > 1)


def _box(rng: np.random.Generator, shape: Shape) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a detector's box: that of the face, never quite exact."""
    box = box_of(shape) + rng.normal(0, 0.05 * shape.scale, 4)
    return tuple(np.rint(box).astype(int).tolist())
