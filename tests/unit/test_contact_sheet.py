"""What an inspection shows: faces under their classes, where labels lie, and warnings of splits."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from abaw_ray.cli import app
from abaw_ray.databases.base import Database, LabelTable, Options, Problems, RowBuilder
from abaw_ray.databases.reading.inspection import inspect_table
from abaw_ray.preprocess.contact_sheet import NUM_FACES, inspection_figures
from abaw_ray.preprocess.plan import Source
from abaw_ray.spaces import LabelSpace, Split

COLOUR = LabelSpace(name="colour", kind="multiclass", names=("red", "green", "blue", "never"))
PLACE = LabelSpace(name="place", kind="regression", names=("x", "y"), low=0, high=10)
MARKS = LabelSpace(name="marks", kind="multilabel", names=("bright", "dark"))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Twenty red faces, three green ones and a blue one in validation, of four people."""
    rows = RowBuilder((COLOUR, PLACE, MARKS))
    for number in range(24):
        place = 0 if number < 20 else 1 if number < 23 else 2
        picture = np.zeros((20, 20, 3), np.uint8)
        picture[..., 2 - place] = 200
        cv2.imwrite(str(tmp_path / f"{number:02d}.png"), picture)
        split = Split.VALIDATION if number in (19, 22, 23) else Split.TRAIN
        labels = {
            "colour": (COLOUR.one_hot(place), split),
            "place": ([number % 10, 5 if number else np.nan], split),
            "marks": ([float(number == 23), 0.0], split),
            ("colour", "somebody"): (COLOUR.one_hot(3), split),
        }
        subject = f"person {number % 4}" if number < 23 else None
        rows.add(f"{number:02d}", 0, f"{number:02d}.png", labels, subject=subject)
    (tmp_path / "03.png").unlink()
    database = Database("toy", "Toy", "", Options, lambda *_: None, "whole", lambda _: ())  # type: ignore
    return Source(database, tmp_path, Options(), LabelTable((COLOUR, PLACE, MARKS), rows.table(), Problems()))


def test_faces_stand_in_the_line_of_their_class(source: Source) -> None:
    figure = inspection_figures(source)["colour_faces"]
    lines = np.array(list(figure.axes)).reshape(len(COLOUR.names), NUM_FACES)
    assert [line[0].get_ylabel() for line in lines] == list(COLOUR.names)
    shown = [[np.asarray(axes.images[0].get_array()).mean((0, 1)) for axes in line if axes.images] for line in lines]
    assert [len(faces) for faces in shown] == [NUM_FACES, 3, 1, 0]
    titles = [axes.get_title() for axes in lines[0]]
    assert titles.count("missing_image") == 1
    assert titles[-1] == "validation", "faces of the whole database"
    for place, faces in enumerate(shown):
        colours = [colour for colour in faces if colour.any()]
        assert all(colour.argmax() == place for colour in colours)
        assert len(colours) == len(faces) - (place == 0)


def test_densities_count_the_labels_that_are_known(source: Source) -> None:
    figures = inspection_figures(source)
    assert figures.keys() == {"colour_faces", "place_density"}
    panels = {axes.get_title(): axes for axes in figures["place_density"].axes if axes.images and axes.get_title()}
    assert panels.keys() == {"train: 20", "validation: 3"}
    counts = 10 ** np.asarray(panels["train: 20"].images[0].get_array()) - 1
    assert counts.sum() == pytest.approx(20)
    assert counts[20].sum() == pytest.approx(20), "all have y = 5"


def test_splits_that_do_not_fit_each_other_are_warned_of(source: Source) -> None:
    found = inspect_table(source.database, source.root, source.table)
    assert found.subjects == {"train": 4, "validation": 2}
    assert found.warnings == [
        "colour: validation has blue, which train lacks",
        "marks: validation has bright, which train lacks",
        "2 people are in train and in validation, as person 2",
    ]
    assert "Warning: colour: validation has blue, which train lacks" in found.render()


# Overlaps


def photos(root: Path, contents: dict[str, bytes]) -> Path:
    """A `folder` database with these pictures."""
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def test_pictures_that_two_databases_have_are_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ours = photos(
        tmp_path / "a", {"Anger/1.jpg": b"same", "Fear/2.jpg": b"same", "Fear/3.jpg": b"ours", "Fear/4.jpg": b"x"}
    )
    theirs = photos(tmp_path / "b", {"Sadness/5.jpg": b"same", "Anger/6.jpg": b"they", "Anger/7.jpg": b"longer"})
    arguments = ["inspect", "folder", str(ours), "--beside", f"folder={theirs}", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(capfd.readouterr().out)["overlaps"]
    pairs = ["Anger/1.jpg and Sadness/5.jpg", "Fear/2.jpg and Sadness/5.jpg"]
    assert found == {"folder": {"num_files": 2, "examples": pairs}}
    assert CliRunner().invoke(app, [*arguments[:4], "folder"]).exit_code != 0
