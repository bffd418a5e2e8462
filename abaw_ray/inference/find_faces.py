"""Whose face is where in pictures of people whose boxes are known: a table of them, found by a detector."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from abaw_ray.blocks.files import write_text
from abaw_ray.config import PrepareConfig
from abaw_ray.databases.base import LabelTable, Problems
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.reading.face_boxes import FaceOfPerson, table_of_faces
from abaw_ray.databases.reading.names import file_name
from abaw_ray.databases.schemas import source_columns
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.ahead import in_order
from abaw_ray.inference.faces.base import Detector, Face
from abaw_ray.inference.faces.boxes import areas, centres, shared_areas, sides
from abaw_ray.preprocess.decoding import UnreadableImage, read_image
from abaw_ray.threads import num_threads

logger = logging.getLogger(__name__)

OPTION = "faces"
"""Of an adapter that takes such a table."""
MARGIN = 0.1
"""Of a person's box, in which faces are looked for on every side of it: boxes often cut heads."""
SAME = 0.5
"""Two boxes are of one face where they share more than this part of the smaller one."""
LEAST_SIDE: int = PrepareConfig().smallest_face
"""Pixels; a smaller face is taken for none: preparation would leave out its person with it."""

Progress = Callable[[int, int], None]
"""Called with the number of pictures done and in all."""


@dataclass(frozen=True)
class People:
    """The people of a picture.

    Args:
        picture: path, as rows have it.
        numbers: of the people in the picture.
        boxes: (people, 4) left, top, right, bottom in pixels.
    """

    picture: str
    numbers: tuple[int, ...]
    boxes: np.ndarray


def find_faces(
    name: str, root: Path, out: Path, detector: Detector, progress: Progress | None = None
) -> dict[str, Any]:
    """Writes a table of the faces of a database's people, which its adapter takes as the option `faces`.

    It is written whole at the end. People in whom no face is found are in it without a box.

    Args:
        name: of the database.
        root: its folder.
        out: file to write, see `databases.reading.face_boxes`.
        detector: of faces.
        progress: shows how far it is.

    Returns:
        `num_pictures`, `num_people`, `num_faces`, `num_without_face`, and `problems`: reason -> `count`, `examples` of
        pictures that could not be read, whose people have no face.

    Raises:
        ConfigurationError: the database does not take such a table, or has no boxes of people.
        UserError: as of `read_database`.
    """
    database, _, labels = read_database(name, root, {})
    if OPTION not in database.options.model_fields:
        raise ConfigurationError(f"find-faces {name}: its adapter takes no table of faces")
    pictures, problems = list(people_of(labels)), Problems()
    logger.info("faces are found by %s", detector.description)

    def look(people: People) -> tuple[list[Face | None], Problems]:
        wrong = Problems()
        try:
            image = read_image(root / file_name(people.picture), apply_orientation=False)
        except FileNotFoundError:
            wrong.add("missing_image", people.picture)
        except UnreadableImage as error:
            wrong.add("unreadable_image", f"{people.picture}: {error}")
        else:
            return faces_of(image, people.boxes, detector), wrong
        return [None] * len(people.numbers), wrong

    found: list[FaceOfPerson] = []
    looked = zip(pictures, in_order(look, pictures, num_threads()), strict=True)
    for number, (people, (faces, wrong)) in enumerate(looked, 1):
        problems.merge(wrong)
        found += [_line(people.picture, *one) for one in zip(people.numbers, faces, strict=True)]
        if progress is not None:
            progress(number, len(pictures))
    write_text(out, table_of_faces(found))
    num_faces = sum(face.box is not None for face in found)
    return {
        "num_pictures": len(pictures),
        "num_people": len(found),
        "num_faces": num_faces,
        "num_without_face": len(found) - num_faces,
        "problems": problems.to_dict(),
    }


def people_of(labels: LabelTable) -> Iterator[People]:
    """The people of every picture, by the stream of a label table that is cut out by boxes.

    Raises:
        ConfigurationError: there is none, or there are several.
    """
    boxed = [stream.name for stream in labels.streams if stream.crop in ("box", "stretched_box")]
    if len(boxed) != 1:
        raise ConfigurationError(f"find-faces: found {len(boxed)} streams with boxes of people, expected one")
    path, geometry = source_columns(boxed[0])
    rows = labels.rows.select([path, "frame", geometry]).to_pylist()
    people = [row for row in rows if row[path] is not None]
    for picture, group in groupby(people, key=lambda row: row[path]):
        own = list(group)
        boxes = np.array([row[geometry] for row in own], np.float64)
        yield People(picture, tuple(row["frame"] for row in own), boxes)


def faces_of(image: np.ndarray, boxes: np.ndarray, detector: Detector) -> list[Face | None]:
    """The face of each person in a picture; None: none was found.

    Faces are looked for in every person's box and a margin around it, and each is of one person at most. Whose it is
    follows from where it is expected, in the middle of a box's upper edge: the sum of all distances from there, in
    sides of the boxes, is least.

    Args:
        image: (height, width, 3) uint8 RGB.
        boxes: (people, 4) left, top, right, bottom in pixels.
        detector: of faces.
    """
    from scipy.optimize import linear_sum_assignment  # takes its time

    faces = _distinct([face for box in boxes for face in _within(image, box, detector)])
    chosen: list[Face | None] = [None] * len(boxes)
    if not faces:
        return chosen
    middles = centres(np.array([face.box for face in faces]))
    expected, extents = np.stack([centres(boxes)[:, 0], boxes[:, 1]], axis=1), sides(boxes)
    distances = np.linalg.norm((middles - expected[:, None]) / extents[:, None], axis=2)
    inside = np.all((middles >= boxes[:, None, :2]) & (middles <= boxes[:, None, 2:]), axis=2)
    far = 1 + len(boxes) * (1 + distances.max())
    for person, face in zip(*linear_sum_assignment(np.where(inside, distances, far)), strict=True):
        if inside[person, face]:
            chosen[int(person)] = faces[int(face)]
    return chosen


def _within(image: np.ndarray, box: np.ndarray, detector: Detector) -> list[Face]:
    """The faces in a box and around it, that are not too small, in pixels of the picture."""
    height, width = image.shape[:2]
    grown = box + np.tile(sides(box), 2) * [-MARGIN, -MARGIN, MARGIN, MARGIN]
    left, top, right, bottom = np.clip(np.rint(grown), 0, [width, height] * 2).astype(int).tolist()
    if right <= left or bottom <= top:
        return []
    found = detector.detect(np.ascontiguousarray(image[top:bottom, left:right]))
    return [Face(face.box + [left, top] * 2, face.confidence) for face in found if sides(face.box).min() >= LEAST_SIDE]


def _distinct(faces: Sequence[Face]) -> list[Face]:
    """The faces without those that are in another one, larger ones before smaller ones."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: (-areas(face.box), -face.confidence)):
        others = np.array([other.box for other in kept]).reshape(-1, 4)
        if not (shared_areas(face.box[None], others) / areas(face.box) > SAME).any():
            kept.append(face)
    return kept


def _line(picture: str, number: int, face: Face | None) -> FaceOfPerson:
    if face is None:
        return FaceOfPerson(picture, number, None)
    left, top, right, bottom = face.box.tolist()
    return FaceOfPerson(picture, number, (left, top, right, bottom), face.confidence)
