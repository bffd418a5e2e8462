"""Layouts of still pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from abaw_ray.synthetic.examples.drawn import Drawn

RAFDB = ("Surprise", "Fear", "Disgust", "Happiness", "Sadness", "Anger", "Neutral")
"""Classes 1 to 7."""
FER2013 = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Neutral")
"""Classes 0 to 6."""
FERPLUS = ("Neutral", "Happiness", "Surprise", "Sadness", "Anger", "Disgust", "Fear", "Contempt", "Unknown", "NF")
"""Classes in the order of the votes."""
AFFECTNET = ("Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt")
"""Classes 0 to 7."""
TABLE_COLUMNS = {
    "path": "path",
    "subject": "person",
    "split": "split",
    "spaces": {
        "expression": {"kind": "multiclass", "columns": ["expression"]},
        "valence_arousal": {
            "kind": "regression",
            "columns": ["valence", "arousal"],
            "names": ["valence", "arousal"],
        },
    },
}
"""What the table's YAML says."""
NUM_VOTES, GREY_SIDE = 10, 48
FERPLUS_FOLDERS = {False: "FER2013Train", True: "FER2013Valid"}


def write_affectnet_npy(root: Path, faces: Sequence[Drawn]) -> None:
    """AffectNet's later release: a picture and npy files by number."""
    for number, face in enumerate(faces):
        folder = root / ("val_set" if face.is_validation else "train_set")
        _write(folder / "images" / f"{number}.jpg", face.image)
        (folder / "annotations").mkdir(exist_ok=True)
        labels = {
            "exp": str(AFFECTNET.index(face.truth.expression)),
            "val": str(face.truth.valence),
            "aro": str(face.truth.arousal),
            "lnd": np.zeros(136),
        }
        for name, value in labels.items():
            np.save(folder / "annotations" / f"{number}_{name}.npy", np.array(value))


def write_fer2013(root: Path, faces: Sequence[Drawn]) -> None:
    """FER2013's table of pixels, and FER+'s table of votes beside it."""
    usages = ["PublicTest" if face.is_validation else "Training" for face in faces]
    pixels = [" ".join(map(str, _grey(face).reshape(-1).tolist())) for face in faces]
    _write_csv(
        root / "fer2013.csv",
        ["emotion", "pixels", "Usage"],
        ([FER2013.index(f.truth.expression), p, u] for f, p, u in zip(faces, pixels, usages, strict=True)),
    )
    header = ["Usage", "Image name", *(name.lower() if name != "NF" else name for name in FERPLUS)]
    rows = ([u, _name(n), *_votes(n, face)] for n, (face, u) in enumerate(zip(faces, usages, strict=True)))
    _write_csv(root / "fer2013new.csv", header, rows)


def write_ferplus(root: Path, faces: Sequence[Drawn]) -> None:
    """FER+'s folders of grey pictures with votes."""
    for is_validation, folder in FERPLUS_FOLDERS.items():
        own = [(number, face) for number, face in enumerate(faces) if face.is_validation == is_validation]
        for number, face in own:
            _write(root / folder / _name(number), _grey(face))
        box = f"(0, 0, {GREY_SIDE}, {GREY_SIDE})"
        _write_csv(root / folder / "label.csv", None, ([_name(n), box, *_votes(n, face)] for n, face in own))


def write_folder(root: Path, faces: Sequence[Drawn]) -> None:
    """A folder a class, by split."""
    for number, face in enumerate(faces):
        split = "validation" if face.is_validation else "train"
        _write(root / split / face.truth.expression / f"{number:05d}.jpg", face.image)


def write_rafdb(root: Path, faces: Sequence[Drawn]) -> None:
    """RAF-DB as it is released: aligned pictures, and a list of classes."""
    lines = []
    for number, face in enumerate(faces, 1):
        name = f"{'test' if face.is_validation else 'train'}_{number:05d}"
        _write(root / "Image" / "aligned" / f"{name}_aligned.jpg", face.image)
        lines.append(f"{name}.jpg {RAFDB.index(face.truth.expression) + 1}")
    (root / "EmoLabel").mkdir()
    (root / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(lines) + "\n")


def write_rafdb_folders(root: Path, faces: Sequence[Drawn]) -> None:
    """RAF-DB in folders by the number of the class."""
    for number, face in enumerate(faces, 1):
        split, place = "test" if face.is_validation else "train", RAFDB.index(face.truth.expression) + 1
        _write(root / "DATASET" / split / str(place) / f"{split}_{number:05d}_aligned.jpg", face.image)


def write_table(root: Path, faces: Sequence[Drawn]) -> None:
    """A table of one's own, which says what its columns are."""
    header = ["path", "person", "split", "expression", "valence", "arousal"]
    rows = []
    for number, face in enumerate(faces):
        path, truth = f"pictures/{number:05d}.jpg", face.truth
        _write(root / path, face.image)
        split = "validation" if face.is_validation else "train"
        rows.append([path, f"person {truth.identity}", split, truth.expression, truth.valence, truth.arousal])
    _write_csv(root / "faces.csv", header, rows)
    (root / "faces.yaml").write_text(yaml.safe_dump(TABLE_COLUMNS, sort_keys=False))


def _name(number: int) -> str:
    return f"fer{number:07d}.png"


def _votes(number: int, face: Drawn) -> list[int]:
    """Ten votes: most for what was drawn, and some, more or fewer by picture, for its neighbour."""
    votes, place = [0] * len(FERPLUS), FERPLUS.index(face.truth.expression)
    votes[(place + 1) % len(FERPLUS[:7])] = number % 4
    votes[place] += NUM_VOTES - number % 4
    return votes


def _grey(face: Drawn) -> np.ndarray:
    grey = cv2.cvtColor(face.image, cv2.COLOR_BGR2GRAY)
    return cv2.resize(grey, (GREY_SIDE, GREY_SIDE), interpolation=cv2.INTER_AREA)


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = cv2.imwrite(str(path), image)
    assert written, "a generated picture can be written"


def _write_csv(path: Path, header: list[str] | None, rows: Iterable[list[Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([header, *rows] if header else rows)
