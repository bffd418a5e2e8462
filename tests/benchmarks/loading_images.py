"""Pictures for the benchmark of loading: drawn faces, loose JPEG files in one folder a class."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import cv2
import numpy as np

from abaw_ray.databases.reading.spaces import EXPRESSION
from abaw_ray.synthetic.layouts import affwild2

SIDE = 112
QUALITY = 95
NOISE = 4.0  # standard deviation of the camera's noise: drawings alone compress better than photos
RAREST = 0.1  # of a class to the most frequent one, so that balancing has something to do


def write_faces(folder: Path, num_images: int) -> None:
    """Draws `num_images` faces into `folder`/<class>/<number>.jpg; the classes are of different sizes."""
    rng = np.random.default_rng(0)
    frequencies = np.geomspace(1, RAREST, len(EXPRESSION.names))
    classes = rng.choice(EXPRESSION.names, num_images, p=frequencies / frequencies.sum())
    for name in EXPRESSION.names:
        (folder / name).mkdir(parents=True)
    drawings = folder.with_name("drawings")
    number = 0
    for seed in itertools.count():
        for part in affwild2.plan(seed, "tiny"):
            if isinstance(part, affwild2.Track):
                affwild2.write(drawings, part)
        for file in sorted((drawings / "cropped_aligned").rglob("*.jpg")):
            picture = np.asarray(cv2.imread(str(file))) + rng.normal(0, NOISE, (SIDE, SIDE, 3))
            target = folder / classes[number] / f"{number:06d}.jpg"
            cv2.imwrite(str(target), picture.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            number += 1
            if number == num_images:
                shutil.rmtree(drawings)
                return
        shutil.rmtree(drawings)


class Faces:
    """The loose files.

    Attributes:
        files: of all faces.
        classes: (n,) int64.
        weights: (n,) that make every class as likely as the others.
    """

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.rglob("*.jpg"), key=lambda f: f.name)
        names = sorted({f.parent.name for f in self.files})
        self.classes = np.array([names.index(f.parent.name) for f in self.files])
        self.weights = 1.0 / np.bincount(self.classes)[self.classes]

    def __len__(self) -> int:
        return len(self.files)

    def encoded(self, number: int) -> bytes:
        """One face as a JPEG file."""
        return self.files[number].read_bytes()

    def pixels(self, number: int) -> np.ndarray:
        """One face, (SIDE, SIDE, 3) uint8 RGB."""
        return decoded(self.encoded(number))


def decoded(encoded: bytes) -> np.ndarray:
    """A JPEG file by OpenCV, which is faster than PIL and torchvision: (SIDE, SIDE, 3) uint8 RGB."""
    return np.asarray(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB))
