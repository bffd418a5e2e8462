"""People for tests of predictions: bright squares, a detector that finds them, a model that tells their colours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from films import film

from abaw_ray.inference.faces.base import Face
from abaw_ray.inference.model_info import ModelInfo
from abaw_ray.spaces import LabelSpace

HEIGHT, WIDTH, SIDE = 96, 160, 32
DARK, RED, BLUE = 16, (255, 60, 60), (60, 60, 255)

MOOD = LabelSpace(name="mood", kind="multiclass", names=("dim", "bright"))
LEVEL = LabelSpace(name="level", kind="regression", names=("red", "blue"), low=0.0, high=1.0)
SIGNS = LabelSpace(name="signs", kind="multilabel", names=("warm", "cold"))


def picture(squares: Mapping[tuple[int, int], tuple[int, int, int]]) -> np.ndarray:
    """Left and top corner of each square -> its colour."""
    image = np.full((HEIGHT, WIDTH, 3), DARK, np.uint8)
    for (left, top), colour in squares.items():
        image[top : top + SIDE, left : left + SIDE] = colour
    return image


def clip(path: Path, frames: list[Mapping[tuple[int, int], tuple[int, int, int]]]) -> Path:
    """A video of such pictures, 25 a second."""
    return film(path, [picture(squares) for squares in frames], times=list(range(len(frames))))


class SquareDetector:
    """Finds the bright squares of each colour; one that moves or is cut off, too."""

    name = description = "squares"

    def detect(self, image: np.ndarray) -> list[Face]:
        faces = []
        for channel, other in ((0, 2), (2, 0)):
            rows, columns = np.nonzero((image[:, :, channel] > 150) & (image[:, :, other] < 120))
            if len(rows) > SIDE:
                box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float64)
                faces.append(Face(box, 0.9 + 0.01 * channel))
        return sorted(faces, key=lambda face: -face.confidence)


class ColourModel:
    """Values are how red and how blue a face is."""

    def __init__(self, window: int | None = None, smoothing: str | None = None, size: int = 8) -> None:
        self.info = ModelInfo(
            kind="cnn",
            role="teacher",
            spaces=(MOOD, SIGNS, LEVEL),
            image_size=size,
            crop="box",
            window=window,
            smoothing=smoothing,
            thresholds={"signs": [0.6, 0.6]},
        )
        self.batches: list[int] = []

    def predict(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        assert faces.shape[1:] == (self.info.image_size, self.info.image_size, 3)
        assert faces.dtype == np.uint8
        self.batches.append(len(faces))
        means = faces.mean((1, 2)).astype(np.float32) / 255
        level = means[:, [0, 2]]
        bright = means.max(1)
        return {
            "mood": np.stack([1 - bright, bright], 1),
            "signs": level,
            "level": level,
            "level:deviation": np.full_like(level, 0.1),
        }
