"""EMOTIC: pictures of one to three people, and what annotators say of each, as structures of MATLAB or as tables.

Of the 26 categories the first 13 depend on the person alone, the others on the scene alone, each kind of person and of
scene having two; valence, arousal and dominance are sums of one number of the person and one of the scene. Faces, where
people have them, show the expression that is nearest to the person's own valence and arousal.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from abaw_ray.databases.emotic import DIMENSIONS, EMOTIONS
from abaw_ray.databases.reading.face_boxes import FaceOfPerson, table_of_faces
from abaw_ray.databases.reading.generated import GENERATED
from abaw_ray.owned_folder import OwnedFolder
from abaw_ray.synthetic.behaviour import CENTRES
from abaw_ray.synthetic.markers import earlier_output, write_marker
from abaw_ray.synthetic.people import EDGE, LARGEST_GROUP, NUM_TYPES, SIZES, Box, draw_face, draw_scene

NAME = "emotic"
FOLDERS = ("mscoco/images", "framesdb/images", "emodb_small/images", "ade20k/images")
NUM_PICTURES = {"train": 600, "val": 150, "test": 150}
FACES = "faces.csv"
"""Table of the true boxes of faces, in the folder of the database."""
NUM_ANNOTATORS = 3
SECOND = 4
"""How far the second category of a kind is from its first."""
OFFSETS = (-0.5, 0.0, 0.5)
"""Of what annotators say from the mean, in each dimension."""
HEADER = (
    "Index",
    "Folder",
    "Filename",
    "Image Size",
    "BBox",
    "Categorical_Labels",
    "Continuous_Labels",
    "Gender",
    "Age",
)
QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]

Form = Literal["structures", "tables"]


@dataclass(frozen=True)
class Annotated:
    """A person, with the labels that are true of it."""

    box: Box
    categories: tuple[str, ...]
    values: tuple[float, ...]
    face: Box | None = None


@dataclass(frozen=True)
class Picture:
    """A picture of a split, with its people."""

    folder: str
    name: str
    size: tuple[int, int]
    people: tuple[Annotated, ...]


def generate_people(
    out: Path,
    seed: int = 0,
    num_pictures: Mapping[str, int] = NUM_PICTURES,
    form: Form = "structures",
    rows_first: bool = False,
    faces: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes generated (synthetic) people in scenes, in EMOTIC's layout, to `out`/emotic.

    In the first picture of train there are people besides whose annotations cannot be used: see `flawed`. The files
    depend on the arguments alone. A complete output of the same is left as it is.

    Args:
        out: folder to write; new or empty.
        seed: of all that is drawn.
        num_pictures: split, as EMOTIC calls it -> number of pictures.
        form: `structures`, as `Annotations.mat` is, with several annotators of val and test; or `tables`.
        rows_first: whether sizes are stored as rows and columns.
        faces: whether people have faces, whose boxes are in `FACES`; those of the flawed have none.
        progress: called with (pictures done, pictures in all).

    Returns:
        The folder of the database.

    Raises:
        ConfigurationError: a folder with other contents.
        StorageError: the disk is full, or cannot be written.
    """
    root = out / NAME
    described = {
        "synthetic": True,
        "layout": NAME,
        "seed": seed,
        "num_pictures": dict(num_pictures),
        "form": form,
        "rows_first": rows_first,
        "faces": faces,
    }
    if earlier_output(out, described) is not None:
        return root
    with OwnedFolder(out, "generated people in scenes", (GENERATED,)).held(fresh=True, whole=True):
        rng = np.random.default_rng(seed)
        splits: dict[str, list[Picture]] = {}
        for split, count in num_pictures.items():
            splits[split] = []
            for number in range(count):
                splits[split].append(_draw(rng, root, split, number, faces))
                if progress is not None:
                    progress(sum(map(len, splits.values())), sum(num_pictures.values()))
        if form == "structures":
            _write_structures(root / "Annotations" / "Annotations.mat", splits, rng, rows_first)
        else:
            _write_tables(root / "emotic_pre", splits, rows_first)
        if faces:
            _write_faces(root / FACES, [picture for found in splits.values() for picture in found])
        people = Counter({split: sum(len(picture.people) for picture in found) for split, found in splits.items()})
        counts = {NAME: {f"num_people_{split}": count for split, count in people.items()}}
        write_marker(out, {**described, "counts": counts})
    return root


def labels_of(person: int, scene: int) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Categories, and valence, arousal and dominance from 1 to 10, of a kind of person in a kind of scene."""
    places = [person, (person + SECOND) % NUM_TYPES, NUM_TYPES + scene, NUM_TYPES + (scene + SECOND) % NUM_TYPES]
    angles = [2 * math.pi * kind / NUM_TYPES for kind in (person, scene)]
    parts = (
        [math.cos(angle) for angle in angles],
        [math.sin(angle) for angle in angles],
        [2 * kind / (NUM_TYPES - 1) - 1 for kind in (person, scene)],
    )
    values = tuple(round(5.5 + 2 * sum(of_both), 3) for of_both in parts)
    return tuple(EMOTIONS.names[place] for place in sorted(places)), values


def flawed(size: tuple[int, int], labelled: Annotated) -> tuple[Annotated, ...]:
    """People who cannot be used, in the place of one who can: without a category, without values, with a box from right
    to left, with one outside the picture. The last one can: the box has to be cut at the picture's edge."""
    width, height = size
    box, categories, values = labelled.box, labelled.categories, labelled.values
    return (
        Annotated(box, (), values),
        Annotated(box, categories, (math.nan,) * len(DIMENSIONS)),
        Annotated((box[2], box[1], box[0], box[3]), categories, values),
        Annotated((width + 5, 5, width + 50, 60), categories, values),
        Annotated((width - 40, height - 40, width + 30, height + 30), categories, values),
    )


def _draw(rng: np.random.Generator, root: Path, split: str, number: int, with_faces: bool) -> Picture:
    size, folder = SIZES[number % len(SIZES)], FOLDERS[number % len(FOLDERS)]
    scene = int(rng.integers(NUM_TYPES))
    kinds = rng.integers(0, NUM_TYPES, int(rng.integers(1, LARGEST_GROUP + 1))).tolist()
    faces = [draw_face(rng, _expression(kind)) for kind in kinds] if with_faces else []
    drawn, boxes = draw_scene(rng, size, scene, kinds, [face for face, _ in faces])
    people = [Annotated(box, *labels_of(kind, scene)) for box, kind in zip(boxes, kinds, strict=True)]
    for place, (_, face) in enumerate(faces):
        left, top = boxes[place][0] - EDGE, boxes[place][1] - EDGE
        box = (left + face[0], top + face[1], left + face[2], top + face[3])
        people[place] = replace(people[place], face=box)
    if split == "train" and number == 0:
        people += flawed(size, people[0])
    name = f"{split}_{number:05d}.jpg"
    file = root / "emotic" / folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), drawn, QUALITY)
    return Picture(folder, name, size, tuple(people))


def _expression(person: int) -> int:
    """The expression whose valence and arousal are nearest to those of a kind of person."""
    angle = 2 * math.pi * person / NUM_TYPES
    return int(np.argmax(CENTRES @ [math.cos(angle), math.sin(angle)]))


def _write_faces(file: Path, pictures: Sequence[Picture]) -> None:
    faces = [
        FaceOfPerson(f"{picture.folder}/{picture.name}", number, person.face)
        for picture in pictures
        for number, person in enumerate(picture.people)
    ]
    file.write_text(table_of_faces(faces), newline="\n")


def _write_structures(
    file: Path, splits: Mapping[str, Sequence[Picture]], rng: np.random.Generator, rows_first: bool
) -> None:
    from scipy.io import savemat  # takes its time

    content = {
        split: _structs(
            [
                {
                    "filename": picture.name,
                    "folder": picture.folder,
                    "image_size": _structs([_size(picture, rows_first)]),
                    "original_database": _structs([{"name": picture.folder.split("/")[0], "info": ""}]),
                    "person": _structs([_person(person, split, rng) for person in picture.people]),
                }
                for picture in pictures
            ]
        )
        for split, pictures in splits.items()
    }
    file.parent.mkdir(parents=True)
    savemat(file, content, do_compression=True)


def _size(picture: Picture, rows_first: bool) -> dict[str, Any]:
    width, height = picture.size
    return {"first": height, "second": width} if rows_first else {"n_col": width, "n_row": height}


def _person(person: Annotated, split: str, rng: np.random.Generator) -> dict[str, Any]:
    """The fields of a person: train has one annotator, the others have several and what they say together."""
    box = np.array([person.box], np.float64)
    who = {"gender": "Female", "age": "Adult"}
    if split == "train":
        return {
            "body_bbox": box,
            "annotations_categories": _structs([{"categories": _cell(person.categories)}]),
            "annotations_continuous": _structs([dict(zip(DIMENSIONS, person.values, strict=True))]),
            **who,
        }
    said = [_without_one(person.categories, rng) for _ in range(NUM_ANNOTATORS - 1)]
    values = [[value + offset for value in person.values] for offset in OFFSETS]
    return {
        "body_bbox": box,
        "annotations_categories": _structs([{"categories": _cell(names)} for names in (*said, person.categories)]),
        "combined_categories": _cell(person.categories),
        "annotations_continuous": _structs([dict(zip(DIMENSIONS, each, strict=True)) for each in values]),
        "combined_continuous": _structs([dict(zip(DIMENSIONS, person.values, strict=True))]),
        **who,
    }


def _without_one(names: tuple[str, ...], rng: np.random.Generator) -> tuple[str, ...]:
    left_out = int(rng.integers(len(names)))
    return tuple(name for place, name in enumerate(names) if place != left_out)


def _structs(fields: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """An array (1, n) of structures."""
    made = np.empty((1, len(fields)), [(name, object) for name in fields[0]])
    for place, each in enumerate(fields):
        made[0, place] = tuple(each.values())
    return made


def _cell(texts: Sequence[str]) -> np.ndarray:
    """A cell (1, n) of texts."""
    made = np.empty((1, len(texts)), object)
    made[0, :] = texts
    return made


def _write_tables(folder: Path, splits: Mapping[str, Sequence[Picture]], rows_first: bool) -> None:
    folder.mkdir(parents=True)
    for split, pictures in splits.items():
        people = [(picture, person) for picture in pictures for person in picture.people]
        with (folder / f"{split}.csv").open("w", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(HEADER)
            for number, (picture, person) in enumerate(people):
                size = picture.size[::-1] if rows_first else picture.size
                said = list(person.categories), list(person.values)
                row = [number, picture.folder, picture.name, list(size), list(person.box), *said, "Female", "Adult"]
                table.writerow(row)
