"""Tables of faces of people in pictures: what the adapter of EMOTIC makes of them, and how a detector fills them.

All people are generated (synthetic)."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from native_layouts import read
from people import BLUE, RED, SIDE, SquareDetector, picture
from serial import prepare_here

from abaw_ray.blocks.reader import Store
from abaw_ray.config import PrepareConfig
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.reading.face_boxes import FaceBoxes, FaceOfPerson, table_of_faces
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.inference.faces.base import Face
from abaw_ray.inference.find_faces import faces_of, find_faces
from abaw_ray.preprocess.plan import Source
from abaw_ray.streams.base import FACE
from abaw_ray.synthetic.layouts.emotic import FACES, generate_people

COUNTS = {"train": 5, "val": 3, "test": 2}
NUM_FLAWED = 5


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_people(tmp_path_factory.mktemp("people"), 1, COUNTS, form="tables", faces=True)


def truth(root: Path) -> list[dict[str, str]]:
    with (root / FACES).open() as file:
        return list(csv.DictReader(file))


def table(folder: Path, *lines: str) -> Path:
    file = folder / "own.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


# The adapter


def test_people_have_the_faces_of_the_table_and_the_others_stay(people: Path) -> None:
    without, _ = read("emotic", people)
    rows, problems = read("emotic", people, faces=FACES)
    assert {row["image"] for row in without} == {None}
    place = {(row["video"], row["frame"]): row for row in rows}
    assert place.keys() == {(row["video"], row["frame"]) for row in without}
    for line in truth(people):
        row = place.get((f"emotic/{line['picture']}", int(line["person"])))
        if row is not None and line["left"]:
            assert row["image"] == row["video"]
            assert row["geometry"] == [float(line[side]) for side in ("left", "top", "right", "bottom")]
            left, top, right, bottom = row["geometry"]
            body = row["body:geometry"]
            assert body[0] <= left < right <= body[2]
            assert body[1] <= top < bottom <= body[3]
    (cut,) = (row for row in rows if row["image"] is None)
    assert problems.counts["person_without_face"] == 1, "of those who can be used, one of the flawed"
    assert "face_of_nobody" not in problems.counts, "people who cannot be used are in the table, too"
    assert cut["geometry"] == []
    labels = [{k: v for k, v in row.items() if k not in ("image", "geometry")} for row in (*rows, *without)]
    assert labels[: len(rows)] == labels[len(rows) :], "nothing else is changed"


def test_a_store_has_the_faces_and_a_network_takes_the_rest_as_before(people: Path, tmp_path: Path) -> None:
    database, options, labels = read_database("emotic", people, {"faces": FACES, "body_size": 32, "scene_size": 32})
    manifest = prepare_here(
        PrepareConfig(image_size=24), tmp_path / "store", [Source(database, people, options, labels)]
    )
    store = Store(tmp_path / "store")
    has_face = store.has_any([FACE])
    assert has_face.sum() == len(has_face) - 1
    assert store.has_any(["body"]).all()
    rows = np.flatnonzero(has_face)
    assert store.images(rows).std((1, 2)).min() > 5, "drawn faces, not blank heads"
    assert "faces" not in manifest.databases[0].options, "paths differ from machine to machine"
    assert manifest.sources["emotic"]["faces"] == FACES


def test_a_person_is_named_by_number_or_by_box(people: Path, tmp_path: Path) -> None:
    (first, *_), _ = read("emotic", people, faces=FACES)
    picture_name, body = first["video"], first["body:geometry"]
    numbered = table(
        tmp_path,
        "picture,person,left,top,right,bottom",
        f"{picture_name},{first['frame']},-3.5,4,20,30",
        "x.jpg,0,1,1,2,2",
    )
    rows, problems = read("emotic", people, faces=numbered)
    found = next(row for row in rows if (row["video"], row["frame"]) == (picture_name, first["frame"]))
    assert found["geometry"] == [-3.5, 4, 20, 30], "a face may leave the picture"
    assert problems.counts["face_of_nobody"] == 1
    assert problems.examples["face_of_nobody"] == [f"{numbered}:3"]
    sides = [f"person_{side}" for side in ("left", "top", "right", "bottom")]
    boxed = table(
        tmp_path,
        ",".join(["left", "top", "right", "bottom", *sides, "picture", "note"]),
        ",".join(["4", "4", "20", "30", *(f"{side + 0.6:g}" for side in body), picture_name, "by hand"]),
    )
    rows, problems = read("emotic", people, faces=boxed)
    (found,) = (row for row in rows if row["image"] is not None)
    assert (found["video"], found["frame"]) == (picture_name, first["frame"])
    assert problems.counts["person_without_face"] == len(rows) - 1


def test_a_face_beside_the_picture_is_counted_and_its_person_stays(people: Path, tmp_path: Path) -> None:
    (first, *_), _ = read("emotic", people)
    own = table(tmp_path, "picture,person,left,top,right,bottom", f"{first['video']},{first['frame']},-30,4,0,30")
    rows, problems = read("emotic", people, faces=own)
    assert {row["image"] for row in rows} == {None}
    assert problems.counts["face_outside_the_picture"] == 1
    assert "-30, 4, 0, 30 in 384 x 256" in problems.examples["face_outside_the_picture"][0]


HEADER = "picture,person,left,top,right,bottom"
WRONG = {
    "header": (["picture,left,top"], r"own\.csv:1: found 'picture,left,top', expected a header with picture, left"),
    "nothing": ([""], r"own\.csv:1"),
    "number": ([HEADER, "a.jpg,one,1,2,3,4"], r"own\.csv:2: found 'one', expected the number of a person"),
    "side": ([HEADER, "a.jpg,0,1,2,3,"], r"own\.csv:2: found '', expected left, top, right, bottom in pixels"),
    "empty box": ([HEADER, "a.jpg,0,5,2,3,4"], r"own\.csv:2: found 5, 2, 3, 4, expected left, top"),
    "fields": ([HEADER, "a.jpg,0,1,2,3"], r"own\.csv:2: found 5 fields"),
    "twice": ([HEADER, "a.jpg,0,1,2,3,4", "a.jpg,0,1,2,3,5"], r"own\.csv:3: found a person of 'a.jpg' again.* as 2"),
}


@pytest.mark.parametrize("what", WRONG)
def test_tables_that_are_none_are_refused(tmp_path: Path, what: str) -> None:
    lines, message = WRONG[what]
    with pytest.raises(DatabaseFormatError, match=message):
        FaceBoxes.read(table(tmp_path, *lines))


def test_a_table_that_is_not_there_is_named(people: Path) -> None:
    with pytest.raises(MissingInputError, match=r"no file .*gone\.csv; expected a table with picture, .*find-faces"):
        read("emotic", people, faces="gone.csv")


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    faces = [FaceOfPerson('a, "b".jpg', 0, (1.0, -2.5, 3.0, 4.0), 0.75), FaceOfPerson("c.jpg", 2, None)]
    file = tmp_path / "faces.csv"
    file.write_text(table_of_faces(faces))
    found = FaceBoxes.read(file)
    assert found.of('a, "b".jpg', 0, ()) == (1.0, -2.5, 3.0, 4.0)
    assert found.of("c.jpg", 2, ()) is None
    assert found.of("c.jpg", 0, ()) is None
    assert found.unasked() == []


# The detector


def test_faces_go_to_the_people_at_whose_heads_they_are() -> None:
    """Two people in front of each other, each with the other's face in the box, and one without."""
    image = picture({(20, 10): RED, (60, 30): BLUE})
    boxes = np.array([[10.0, 5, 100, 90], [40, 25, 100, 95], [110, 5, 150, 90]])
    red, blue, none = faces_of(image, boxes, SquareDetector())
    assert red is not None
    assert blue is not None
    assert red.box.tolist() == [20, 10, 20 + SIDE, 10 + SIDE]
    assert blue.box.tolist() == [60, 30, 60 + SIDE, 30 + SIDE]
    assert none is None


def test_a_face_is_of_one_person_and_whole_if_anybody_s_box_has_it_whole() -> None:
    image = picture({(40, 10): RED})
    boxes = np.array([[30.0, 0, 80, 90], [58, 0, 120, 90]])
    first, second = faces_of(image, boxes, SquareDetector())
    assert first is not None
    assert first.box.tolist() == [40, 10, 40 + SIDE, 10 + SIDE]
    assert second is None, "what its box has of the face is the other's"


class Heads:
    """Says that the upper half of what it is shown is a face, if that is large enough."""

    name = description = "heads"

    def detect(self, image: np.ndarray) -> list[Face]:
        height, width = image.shape[:2]
        return [Face(np.array([0.3 * width, 0.1 * height, 0.7 * width, 0.5 * height]), 0.8)]


def test_the_command_s_table_gives_every_person_a_face_or_counts_it(people: Path, tmp_path: Path) -> None:
    done = []
    found = find_faces("emotic", people, tmp_path / "faces.csv", Heads(), lambda *shown: done.append(shown))
    rows, problems = read("emotic", people, faces=tmp_path / "faces.csv")
    assert found["num_people"] == len(rows) == found["num_faces"] + found["num_without_face"]
    assert found["num_faces"] == sum(row["image"] is not None for row in rows) > 10
    assert done[-1] == (found["num_pictures"], sum(COUNTS.values()))
    assert found["problems"] == {}
    assert problems.counts["person_without_face"] == found["num_without_face"]
    for row in rows:
        if row["image"] is not None:
            body, face = np.array(row["body:geometry"]), np.array(row["geometry"])
            assert (face[:2] > body[:2] - 10).all()
            assert face[3] < (body[1] + body[3]) / 2 + 10


def test_pictures_that_cannot_be_read_are_counted_with_their_people(tmp_path: Path) -> None:
    root = generate_people(tmp_path, 1, {"train": 2, "val": 1, "test": 1}, form="tables")
    broken = next(iter(sorted(root.rglob("val_*.jpg"))))
    broken.write_bytes(b"no picture")
    found = find_faces("emotic", root, tmp_path / "faces.csv", Heads())
    assert found["problems"]["unreadable_image"]["count"] == 1
    assert "val_00000.jpg: " in found["problems"]["unreadable_image"]["examples"][0]
    lines = [line for line in csv.DictReader((tmp_path / "faces.csv").open()) if "val_" in line["picture"]]
    assert lines
    assert all(line["left"] == "" for line in lines)


def test_only_databases_that_take_a_table_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "fear").mkdir()
    cv2.imwrite(str(tmp_path / "fear" / "a.png"), picture({}))
    with pytest.raises(ConfigurationError, match="find-faces folder: its adapter takes no table of faces"):
        find_faces("folder", tmp_path, tmp_path / "faces.csv", Heads())


def test_nothing_is_written_when_it_is_cut_off(people: Path, tmp_path: Path) -> None:
    def cut_off(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_faces("emotic", people, tmp_path / "faces.csv", Heads(), cut_off)
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_what_it_counted(people: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "abaw_ray", "find-faces", "emotic", str(people), "--detector", "lbp", "--json"]
    out = tmp_path / "faces.csv"
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, timeout=600, check=True)
    found = json.loads(done.stdout)
    assert found["num_people"] == found["num_faces"] + found["num_without_face"]
    assert "scikit-image" in found["detector"]
    rows, _ = read("emotic", people, faces=out)
    assert sum(row["image"] is not None for row in rows) == found["num_faces"]
