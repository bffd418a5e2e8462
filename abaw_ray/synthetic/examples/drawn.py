"""Generated faces and what was drawn on them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pyarrow.parquet as pq

from abaw_ray.synthetic.labels import EXPRESSIONS
from abaw_ray.synthetic.layouts import affwild2

VALIDATION_ONE_IN = 3  # videos


class Truth(NamedTuple):
    """What was drawn."""

    video: str
    frame: int
    """0-based, of the video."""
    identity: int
    expression: str
    valence: float
    arousal: float
    action_units: list[int]


class Drawn:
    """A generated face.

    Args:
        path: of its picture.
        truth: what was drawn.
        is_validation: whether its video is one of those that validate.
    """

    def __init__(self, path: Path, truth: Truth, is_validation: bool) -> None:
        self.path, self.truth, self.is_validation = path, truth, is_validation

    @cached_property
    def image(self) -> np.ndarray:
        """(height, width, 3) uint8, blue first."""
        found = cv2.imread(str(self.path))
        assert found is not None, "generated pictures can be read"
        return found


def drawn_faces(generated: Path) -> list[Drawn]:
    """The faces of the generated videos of a folder, by video and frame; one in three videos validates."""
    if not (generated / "truth.parquet").is_file():
        return []
    rows = pq.read_table(generated / "truth.parquet").sort_by([("video", "ascending"), ("frame", "ascending")])
    faces = []
    of_videos = [r for r in rows.to_pylist() if r["database"] == affwild2.NAME and r["expression"] >= 0]
    numbers = {video: place for place, video in enumerate(dict.fromkeys(r["video"] for r in of_videos))}
    for row in of_videos:
        if not row["image_missing"]:
            values = {name: row[name] for name in Truth._fields} | {"expression": EXPRESSIONS[row["expression"]]}
            is_validation = numbers[row["video"]] % VALIDATION_ONE_IN == VALIDATION_ONE_IN - 1
            faces.append(Drawn(generated / affwild2.NAME / row["image"], Truth(**values), is_validation))
    return faces
