"""Writes tiny generated databases in their own formats; images are placeholder bytes, as no adapter decodes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from paper import EXPRESSIONS

from abaw_ray.databases import database
from abaw_ray.databases.base import LabelTable, Problems
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.schemas import label_keys, row_schema, unseen_schema, videos_schema

EXPR_HEADER = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise"
VA_HEADER = "valence,arousal"
AU_HEADER = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
AFFECTNET_HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
)


def read(name: str, root: Path, **options: object) -> tuple[list[dict[str, Any]], Problems]:
    """Rows and problems of the database called `name`."""
    table = read_table(name, root, **options)
    return table.rows.to_pylist(), table.problems


def read_table(name: str, root: Path, **options: object) -> LabelTable:
    """The label table of the database called `name`, with what holds for every adapter checked."""
    _, _, table = read_database(name, root, options)
    others = [key for key in label_keys(table.rows) if key[1]]
    assert table.rows.schema == row_schema(table.spaces, others, table.streams)
    assert table.unseen.schema == unseen_schema(table.spaces)
    assert table.videos.schema == videos_schema()
    seen, unseen = ([(r["video"], r["frame"]) for r in t.to_pylist()] for t in (table.rows, table.unseen))
    assert seen == sorted(set(seen))
    assert unseen == sorted(set(unseen))
    assert not set(seen) & set(unseen)
    names = [space.name for space in table.spaces]
    assert all(any(r[f"{name}_split"] for name in names) for t in (table.rows, table.unseen) for r in t.to_pylist())
    num_frames = lengths(table)
    if database(name).sequential if table.sequential is None else table.sequential:
        assert list(num_frames) == sorted({video for video, _ in seen + unseen})
        assert all(0 <= frame < num_frames[video] for video, frame in seen + unseen)
    else:
        assert not num_frames
        assert not unseen
    return table


def lengths(table: LabelTable) -> dict[str, int]:
    """Number of frames by video."""
    return {v["video"]: v["num_frames"] for v in table.videos.to_pylist()}


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
    action_units: Sequence[str] | None = None,
    action_units_split: str = "Train_Set",
) -> None:
    """One track; `frames` are the numbers in the images' names (from 1). All sets' split folders are made."""
    for set_folder in ("EXPR_Set", "VA_Set", "AU_Set"):
        (root / set_folder / "Validation_Set").mkdir(parents=True, exist_ok=True)
        if not (root / set_folder / "Training_Set").exists():
            (root / set_folder / "Train_Set").mkdir(exist_ok=True)
    (root / "cropped_aligned").mkdir(exist_ok=True)
    for set_folder, split, header, lines in (
        ("EXPR_Set", expression_split, EXPR_HEADER, expression),
        ("VA_Set", valence_arousal_split, VA_HEADER, valence_arousal),
        ("AU_Set", action_units_split, AU_HEADER, action_units),
    ):
        if lines is not None:
            write(root / set_folder / split / f"{name}.txt", "\n".join([header, *map(str, lines)]))
    images(root / "cropped_aligned" / name, *(f"{k:05d}.jpg" for k in frames))


def units(present: Iterable[str] = (), value: object = 1) -> str:
    """A line of an action units' file: `value` for the units `present`, 0 for the others."""
    return ",".join(str(value) if unit in set(present) else "0" for unit in AU_HEADER.split(","))


def avi(file: Path, num_frames: int) -> Path:
    """A video of grey frames."""
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 25, (32, 32))
    for _ in range(num_frames):
        writer.write(np.full((32, 32, 3), 128, np.uint8))
    writer.release()
    return file


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
