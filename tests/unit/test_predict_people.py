"""Predictions for pictures of people whose boxes are known, by networks of bodies and scenes, and of faces beside.

All people are generated (synthetic)."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from checkpoints import make_checkpoint
from learners import last_checkpoint, recipe_of_streams
from people import RED, SIDE, SquareDetector, picture
from serial import prepare_here

import abaw_ray
from abaw_ray.blocks.reader import Store
from abaw_ray.config import PrepareConfig
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.schemas import source_columns, task_labels
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.evaluation.evaluator import Evaluator
from abaw_ray.evaluation.predictions import vectors
from abaw_ray.inference.bodies import GivenBodies, find_bodies
from abaw_ray.inference.export.export import export_run
from abaw_ray.inference.faces.base import Face
from abaw_ray.inference.footage import Shot
from abaw_ray.inference.looking import BodyLook, cut_body
from abaw_ray.inference.opening import open_model
from abaw_ray.inference.run_model import RunModel
from abaw_ray.models import checkpoint
from abaw_ray.preprocess.crops import BadGeometry
from abaw_ray.preprocess.decoding import read_image
from abaw_ray.preprocess.plan import Source
from abaw_ray.spaces import Split
from abaw_ray.synthetic.layouts.emotic import FACES, generate_people
from abaw_ray.training.job import Job
from abaw_ray.world import World

VALUES = "valence_arousal_dominance"
PICTURE, BOX = source_columns("body")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_people(
        tmp_path_factory.mktemp("people"), 2, {"train": 12, "val": 6, "test": 2}, form="tables", faces=True
    )


@pytest.fixture(scope="module")
def store(root: Path) -> Path:
    settings = {"faces": FACES, "body_size": 32, "scene_size": 64}
    database, options, table = read_database("emotic", root, settings)
    prepare_here(PrepareConfig(image_size=40), root.parent / "store", [Source(database, root, options, table)])
    return root.parent / "store"


def trained(store: Path, *streams: str) -> Path:
    """A checkpoint after a few steps."""
    recipe = recipe_of_streams(streams, 8, 4)
    return last_checkpoint(Job(recipe, str(store), str(store.parent / "-".join(streams))))


@pytest.fixture(scope="module")
def in_scenes(store: Path) -> Path:
    """A network of bodies and scenes."""
    return trained(store, "body", "scene")


def validation_rows(root: Path) -> list[dict[str, Any]]:
    _, _, table = read_database("emotic", root, {})
    _, splits = task_labels(table.rows, VALUES)
    return table.rows.filter(splits == int(Split.VALIDATION)).to_pylist()


@pytest.fixture(scope="module")
def boxes(root: Path) -> Path:
    """A table of the validation pictures' people, as the database has them."""
    file = root / "boxes.csv"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["picture", "left", "top", "right", "bottom", "note"])
        writer.writerows([row[PICTURE], *row[BOX], "by hand"] for row in validation_rows(root))
    return file


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    typed = [sys.executable, "-m", "abaw_ray", "predict", *map(str, arguments)]
    return subprocess.run(typed, capture_output=True, text=True, timeout=600, check=False)


def test_a_checkpoint_notes_how_its_images_were_cut_out(in_scenes: Path) -> None:
    model = open_model(in_scenes)
    assert [(s.name, s.size, s.crop) for s in model.info.streams] == [
        ("body", 32, "stretched_box"),
        ("scene", 64, "stretched"),
    ]


def test_pictures_get_the_answers_of_their_people(
    root: Path, in_scenes: Path, boxes: Path, tmp_path: Path, one_thread: None
) -> None:
    people = validation_rows(root)
    pictures = sorted({row[PICTURE] for row in people})
    given = [root / name for name in pictures]
    done = command(*given, "--run", in_scenes, "--out", tmp_path / "out", "--people", boxes)
    assert done.returncode == 0, done.stderr
    assert "people are found by the boxes in" in done.stderr
    found = pq.read_table(tmp_path / "out" / "predictions.parquet")
    summary = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert summary["num_rows"] == len(found) == len(people)
    assert summary["left_out"] == {}
    assert {Path(file).suffix for given in summary["inputs"] for file in given["files"]} == {".jpg"}
    model = open_model(in_scenes)
    assert isinstance(model, RunModel)
    expected = model.predict_people([cut(root, row) for row in people])[VALUES]
    answered = np.stack([found[name].to_numpy() for name in ("valence", "arousal", "dominance")], axis=1)
    sources = found["source"].to_pylist()
    for name in pictures:
        mine = answered[[source.endswith(name) for source in sources]]
        theirs = expected[[row[PICTURE] == name for row in people]]
        np.testing.assert_allclose(np.sort(mine, 0), np.sort(theirs, 0), atol=1e-4, err_msg=name)
    assert expected.std(0).max() > 0.01, "people do differ"


def cut(root: Path, person: dict[str, Any]) -> dict[str, np.ndarray]:
    image = read_image(root / person[PICTURE], apply_orientation=True)
    box = np.array(person[BOX])
    return {
        "body": cut_body(image, box, "stretched_box", 32),
        "scene": cut_body(image, box, "stretched", 64),
    }


def test_images_of_a_person_are_those_of_the_store_and_so_are_answers(
    root: Path, store: Path, in_scenes: Path, one_thread: None
) -> None:
    opened = Store(store)
    rows = opened.validation_rows()
    stored = {name: opened.samples(name, rows)[0] for name in ("body", "scene")}
    for place, person in enumerate(validation_rows(root)):
        for name, image in cut(root, person).items():
            _, written = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
            kept = cv2.imdecode(written, cv2.IMREAD_COLOR)[..., ::-1]
            np.testing.assert_array_equal(kept, stored[name][place], err_msg=f"{place}, {name}")
    loaded, model = checkpoint.load(in_scenes), open_model(in_scenes)
    assert isinstance(model, RunModel)
    evaluator = Evaluator(opened, loaded.tasks(loaded.recipe), Split.VALIDATION, loaded.recipe)
    table = evaluator.score(evaluator.predict(loaded.frame_network(World().device), World())).table
    people = [{name: stored[name][place] for name in stored} for place in range(len(rows))]
    expected = vectors(table, f"predicted_{VALUES}")
    np.testing.assert_allclose(model.predict_people(people)[VALUES], expected, atol=1e-4)


def test_a_box_is_cut_off_at_the_picture_and_holds_some_of_it() -> None:
    image = np.arange(40 * 60 * 3, dtype=np.uint64).reshape(40, 60, 3).astype(np.uint8)
    inside = cut_body(image, np.array([0.0, 0, 30, 20]), "stretched_box", 8)
    assert np.array_equal(cut_body(image, np.array([-20.0, -5, 30, 20]), "stretched_box", 8), inside)
    with pytest.raises(BadGeometry):
        cut_body(image, np.array([60.0, 0, 90, 20]), "stretched_box", 8)


class Upright:
    """Takes both halves of every picture for people."""

    description = "halves"

    def detect(self, image: np.ndarray) -> list[Face]:
        height, width = image.shape[:2]
        return [Face(np.array([x, 0.0, x + width / 2, height]), 0.9) for x in (0.0, width / 2)]


class NoDetector:
    """Finds nothing at all."""


def test_a_person_s_face_is_taken_where_one_is_found_and_is_missing_elsewhere(store: Path) -> None:
    model = open_model(trained(store, "face", "body"))
    assert isinstance(model, RunModel)
    look = BodyLook(find_bodies(f"{__name__}:Upright"), SquareDetector(), model.info)
    image = picture({(20, 10): RED})
    found = look(Shot("one.png", 0, None, image))
    assert look.description == "halves, their faces by squares"
    with_face, without = found.crops
    assert sorted(with_face) == ["body", "face"]
    assert sorted(without) == ["body"]
    assert with_face["face"].shape == (40, 40, 3)
    assert with_face["face"][..., 0].mean() > 200, f"a square of {SIDE} pixels"
    both = model.predict_people([with_face, without])
    alone = model.predict_people([without])
    for name, values in both.items():
        np.testing.assert_allclose(values[1], alone[name][0], atol=1e-5)
    missing = model.predict_people([{"body": with_face["body"]}])
    assert not np.allclose(missing[VALUES], both[VALUES][0], atol=1e-4)


def test_python_asks_about_pictures_by_a_detector_of_people(root: Path, in_scenes: Path) -> None:
    model = abaw_ray.load(in_scenes, people=f"{__name__}:Upright")
    answers = list(model.predict(np.zeros((40, 60, 3), np.uint8)))
    assert [answer.box for answer in answers] == [(0, 0, 30, 40), (30, 0, 60, 40)]
    assert set(answers[0].value[VALUES]) == {"valence", "arousal", "dominance"}


def test_frames_of_a_video_have_boxes_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text(
        "frame,picture,left,top,right,bottom,confidence\n3,a.mp4,1,2,3,4,.5\n3,a.mp4,1,2,3,9,.7\n4,b.mp4,0,0,1,1,1\n"
    )
    (tmp_path / "a.mp4").touch()
    given = GivenBodies.read(file)
    image = np.zeros((9, 9, 3), np.uint8)
    found = given.find(Shot(str(tmp_path / "x" / ".." / "a.mp4"), 3, 0.1, image))
    assert [(body.box.tolist(), body.confidence) for body in found] == [([1, 2, 3, 9], 0.7), ([1, 2, 3, 4], 0.5)]
    assert given.find(Shot(str(tmp_path / "a.mp4"), 2, 0.1, image)) == []
    assert given.of_others([str(tmp_path / "a.mp4")]) == [f"{file}:4"]


def test_boxes_of_pictures_that_are_not_asked_about_are_told(
    root: Path, in_scenes: Path, boxes: Path, tmp_path: Path
) -> None:
    first = next(csv.DictReader(boxes.open()))["picture"]
    done = command(root / first, "--run", in_scenes, "--out", tmp_path / "out", "--people", boxes)
    assert done.returncode == 0, done.stderr
    left_out = json.loads((tmp_path / "out" / "predict.json").read_text())["left_out"]
    assert left_out["boxes_of_no_input"]["count"] == len({line["picture"] for line in csv.DictReader(boxes.open())}) - 1
    assert "boxes of no input" in done.stdout


@pytest.mark.parametrize(
    ("lines", "line", "found"),
    [
        (["picture,left,top"], 1, "picture,left,top"),
        (["picture,left,top,right,bottom", "a.jpg,1,2,1,4"], 2, "1, 2, 1, 4"),
        (["picture,left,top,right,bottom", "a.jpg,1,2,x,4"], 2, "x"),
        (["picture,left,top,right,bottom,frame", "a.jpg,1,2,3,4,0.5"], 2, "0.5"),
    ],
)
def test_a_damaged_table_is_refused_by_its_line(tmp_path: Path, lines: list[str], line: int, found: str) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(DatabaseFormatError) as raised:
        GivenBodies.read(file)
    assert (raised.value.line, found in str(raised.value)) == (line, True)


def test_what_finds_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"no file .*none.csv; expected a table"):
        find_bodies(str(tmp_path / "none.csv"))
    with pytest.raises(MissingInputError, match="no module no_such_module for no_such_module:People"):
        find_bodies("no_such_module:People")
    with pytest.raises(ConfigurationError, match="cannot be made: AttributeError"):
        find_bodies(f"{__name__}:Nobody")
    with pytest.raises(ConfigurationError, match=r"found NoDetector, expected a class with detect"):
        find_bodies(f"{__name__}:NoDetector")


def test_people_are_asked_for_where_they_are_taken_and_nowhere_else(
    root: Path, in_scenes: Path, boxes: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"takes body, scene of people; say by --people where they are"):
        abaw_ray.load(in_scenes)
    with pytest.raises(ConfigurationError, match="takes body, scene, and no faces"):
        abaw_ray.load(in_scenes, detector="lbp", people=boxes)
    with pytest.raises(ConfigurationError, match="takes faces alone"):
        abaw_ray.load(make_checkpoint(tmp_path / "run"), people=boxes)
    with pytest.raises(ConfigurationError, match="takes body, scene; an exported file takes faces alone"):
        export_run(in_scenes, tmp_path / "model.onnx", "onnx")
