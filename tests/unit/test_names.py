"""Files whose names are not UTF-8, or hold control characters: read where they are used, named where they are not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from faces import cut_faces
from native_layouts import affwild2_track, write

from abaw_ray.config import PrepareConfig
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.reading.inspection import inspect_database
from abaw_ray.databases.reading.names import file_name, printable, stored_name
from abaw_ray.preprocess.plan import Source, plan_database

ODD = os.fsdecode(b"\xff\xe9t\xc3\xa9")
"""Two bytes that are no UTF-8, a letter, and two bytes that are."""


def test_a_name_is_kept_as_text_and_found_again() -> None:
    stored = stored_name(ODD)
    assert stored.encode()
    assert file_name(stored) == ODD
    assert printable(stored) == printable(ODD) == r"\udcff\udce9té"
    assert stored_name("plain é") == file_name("plain é") == printable("plain é") == "plain é"
    assert printable("two\nlines") == r"two\nlines"


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Images by class, some with odd names, in a folder with an odd name."""
    root = tmp_path / ODD
    for place in ("Happiness/a.png", f"Happiness/{ODD}.png", f"Sadness/new\nline{ODD}.png"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(cv2.imencode(".png", np.full((20, 20, 3), 90, np.uint8))[1].tobytes())
    write(root / f"Sadness/{ODD}.txt", "no picture")
    (root / "Sadness" / ODD).mkdir()
    return root


def test_images_with_odd_names_are_read_planned_and_opened(faces: Path) -> None:
    database, options, table = read_database("folder", faces, {})
    assert table.rows.num_rows == 3
    assert table.problems.examples["unexpected_file"][0].endswith(r"Sadness/\udcff\udce9té.txt")
    plan = plan_database(Source(database, faces, options, table), PrepareConfig())
    made = cut_faces(plan.rows.combine_chunks(), faces, "whole", 16)
    assert made.reasons == ["", "", ""]
    assert (made.samples.flatten().to_numpy() == 90).all()


def test_an_inspection_with_odd_names_prints_as_text_and_json(faces: Path) -> None:
    found = inspect_database("folder", faces, {})
    assert r"\udcff" in found.render().encode().decode()
    assert json.loads(json.dumps(found.to_dict()))["num_rows"] == 3


def test_tracks_and_photos_with_odd_names(tmp_path: Path) -> None:
    wild = tmp_path / "wild"
    affwild2_track(wild, "a", expression=[1], frames=[1])
    for name in ("00001.jpg", f"{ODD}.jpg"):
        write(wild / "cropped_aligned" / ODD / name, "picture")
    write(wild / "EXPR_Set" / "Train_Set" / f"{ODD}.txt", (wild / "EXPR_Set" / "Train_Set" / "a.txt").read_text())
    table = read_database("affwild2", wild, {})[2]
    assert [file_name(name) for name in table.videos["video"].to_pylist()] == ["a", ODD]

    expw = tmp_path / "expw"
    for name in ("a.jpg", f"{ODD}.jpg"):
        write(expw / "image" / name, "picture")
    write(expw / "label.lst", "a.jpg 0 1 2 30 40 50 1\n")
    problems = read_database("expw", expw, {})[2].problems
    assert problems.examples["image_without_label"] == [r"image/\udcff\udce9té.jpg"]
