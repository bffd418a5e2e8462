"""Writes tiny generated databases in their own formats; images are placeholder bytes, as no adapter decodes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from abaw_ray.databases.base import Problems, row_schema
from abaw_ray.databases.reading import read_database
from abaw_ray.labels import EXPRESSIONS

EXPR_HEADER = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise"
VA_HEADER = "valence,arousal"
AFFECTNET_HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
)


def read(name: str, root: Path, **options: object) -> tuple[list[dict[str, Any]], Problems]:
    """Rows and problems of the database called `name`, with what holds for every adapter checked."""
    _, _, table = read_database(name, root, options)
    assert table.rows.schema == row_schema()
    rows = table.rows.to_pylist()
    keys = [(r["video"], r["frame"]) for r in rows]
    assert keys == sorted(set(keys))
    return rows, table.problems


def class_of(row: Mapping[str, Any]) -> str:
    return EXPRESSIONS[int(np.argmax(row["expression"]))]


def write(file: Path, text: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def images(folder: Path, *names: str) -> None:
    for name in names:
        write(folder / name, f"picture {name}")


def affwild2_track(
    root: Path,
    name: str,
    expression: Sequence[object] | None = None,
    valence_arousal: Sequence[str] | None = None,
    frames: Iterable[int] = (),
    expression_split: str = "Train_Set",
    valence_arousal_split: str = "Train_Set",
) -> None:
    """One track; `frames` are the numbers in the images' names (from 1). Both sets' split folders are made."""
    for set_folder in ("EXPR_Set", "VA_Set"):
        (root / set_folder / "Validation_Set").mkdir(parents=True, exist_ok=True)
        if not (root / set_folder / "Training_Set").exists():
            (root / set_folder / "Train_Set").mkdir(exist_ok=True)
    (root / "cropped_aligned").mkdir(exist_ok=True)
    if expression is not None:
        text = "\n".join([EXPR_HEADER, *map(str, expression)])
        write(root / "EXPR_Set" / expression_split / f"{name}.txt", text)
    if valence_arousal is not None:
        text = "\n".join([VA_HEADER, *valence_arousal])
        write(root / "VA_Set" / valence_arousal_split / f"{name}.txt", text)
    images(root / "cropped_aligned" / name, *(f"{k:05d}.jpg" for k in frames))


def expw(root: Path, lines: Sequence[str], photos: Sequence[str], label_list: str = "label.lst") -> Path:
    images(root / "image", *photos)
    return write(root / label_list, "".join(f"{line}\n" for line in lines))


def landmarks(offset: float = 0.0) -> list[list[float]]:
    return [[offset + k, offset + 2 * k] for k in range(68)]


def afew_clip(root: Path, clip: str, labels: Mapping[str, tuple[Any, Any]], frames: Sequence[str]) -> Path:
    """One clip, as "01/003"; `labels` maps a frame id to valence and arousal, `frames` are the stems of the pngs."""
    records = {f: {"landmarks": landmarks(int(f)), "valence": v, "arousal": a} for f, (v, a) in labels.items()}
    images(root / clip, *(f"{stem}.png" for stem in frames))
    content = {"video_id": clip[-3:], "frames": records, "genre": "generated"}
    return write(root / clip / f"{clip[-3:]}.json", json.dumps(content))


def affectnet_line(path: str, expression: object, valence: object = 0.5, arousal: object = -0.25) -> str:
    points = ";".join(f"{x};{y}" for x, y in landmarks(100.5))
    return f"{path},1,2,30,30,{points},{expression},{valence},{arousal}"


def affectnet(root: Path, training: Sequence[str], validation: Sequence[str], photos: Sequence[str]) -> Path:
    """Both lists with the lines given; returns training.csv."""
    images(root / "Manually_Annotated_compressed" / "Manually_Annotated_Images", *photos)
    lists = root / "Manually_Annotated_file_lists"
    write(lists / "validation.csv", "".join(f"{line}\n" for line in validation))
    return write(lists / "training.csv", "".join(f"{line}\r\n" for line in training))


def ferplus(root: Path, folder: str, votes: Mapping[str, str], pictures: Mapping[str, bytes]) -> Path:
    """One split folder; `votes` maps a name to its ten votes, `pictures` a name to its bytes."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name, content in pictures.items():
        write(root / folder / name, content)
    lines = [f'{name},"(0, 0, 48, 48)",{ten}\n' for name, ten in votes.items()]
    return write(root / folder / "label.csv", "".join(lines))
