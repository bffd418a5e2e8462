"""The examples of CONTRIBUTING.md: a database with label spaces of its own, from its files to a scored network, and
parts of its training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from examples import examples
from test_loop import run, with_changes

import abaw_ray.databases
import abaw_ray.objectives.kd
import abaw_ray.tasks
import abaw_ray.teachers
from abaw_ray.blocks.reader import Store
from abaw_ray.config import Recipe
from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.reading.inspection import inspect_database
from abaw_ray.errors import DatabaseFormatError
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.evaluation.score_tables import score_rows
from abaw_ray.models import checkpoint
from abaw_ray.preprocess.prepare import prepare
from abaw_ray.spaces import Split
from abaw_ray.training.job import Job

PAGES = ("Add a database", "Add a task", "Add a loss", "Add a teacher")
EXAMPLES = [code for page in PAGES for code in examples(page)]
PLACES = (
    (abaw_ray.databases, "moods"),
    (abaw_ray.tasks, "mood"),
    (abaw_ray.objectives.kd, "jensen_shannon"),
    (abaw_ray.objectives, "small_features"),
    (abaw_ray.teachers, "surest"),
)
"""Where each of them lies, and how it is called."""
NUM_PHOTOS = 80
MOODS = ("calm", "tense", "cheerful")


@pytest.fixture
def moods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The database of the examples, whose code lies outside of the package; grey photos, brighter with more energy."""
    for (package, name), code in zip(PLACES, EXAMPLES, strict=True):
        folder = tmp_path / "code" / name
        folder.mkdir(parents=True)
        (folder / f"{name}.py").write_text(code)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    root, lines = tmp_path / "moods", []
    root.mkdir()
    for number in range(NUM_PHOTOS):
        energy = number % 11
        picture = np.full((32, 32, 3), 20 * energy + 20, np.uint8)
        cv2.imwrite(str(root / f"{number}.png"), picture)
        lines.append(f"{number}.png,{MOODS[energy % 3]},{energy}")
    (root / "labels.csv").write_text("\n".join([*lines, "gone.png,calm,1"]))
    yield root
    monkeypatch.undo()


def test_a_database_of_other_labels_is_trained_and_scored(cluster, moods: Path, recipe: Recipe, tmp_path: Path) -> None:
    inspection = inspect_database("moods", moods, {})
    assert inspection.problems["frame_without_image"]["count"] == 1
    assert set(inspection.counts) == {"mood"}
    assert set(inspection.statistics) == {"energy"}
    prepare(recipe, tmp_path / "store", {"moods": {"root": moods}})
    store = Store(tmp_path / "store")
    assert list(store.spaces) == ["mood", "energy"]
    assert set(store.label_sets) == {("mood", ""), ("energy", "")}
    longer = with_changes(recipe, sampling={"steps_per_epoch": 15}, train={"epochs": 4, "learning_rate": 0.003})
    results = run(Job(longer, str(store.path), str(tmp_path / "run")), tmp_path / "kept")
    assert set(results[-1].losses) == {"total", "mood/moods", "energy/moods"}
    last = tmp_path / "kept" / "3"
    assert [space.name for space in checkpoint.load(last).description.spaces] == ["mood", "energy"]
    result = evaluate(last, store.path, tmp_path / "scores")
    scores = result["scores"]["every_frame"]["moods"]
    assert scores["mood"]["criterion"] == scores["mood"]["accuracy"], "the example's criterion"
    assert set(scores["mood"]["f1"]) == set(MOODS)
    assert scores["energy"]["ccc_energy"] > 0.5, "brightness tells the energy"
    assert scores["criterion"] == pytest.approx(scores["mood"]["accuracy"] + scores["energy"]["ccc_energy"])
    assert "CCC energy" in score_rows(result)[0]
    for figure in ("mood_confusion.png", "energy.png"):
        assert (tmp_path / "scores" / figure).is_file()
    assert len(store.rows_with("mood", Split.VALIDATION)) == result["num_frames"]
    losses = {"kd": {"jensen_shannon": {"weight": 2.0}}, "teacher": "surest"}
    taught = with_changes(recipe, sampling={"steps_per_epoch": 5}, train={"epochs": 1}, loss=losses)
    taught = taught.model_copy(update={"objectives": {"small_features": {"weight": 0.1}}})
    teachers = (str(last), str(tmp_path / "kept" / "2"))
    (student,) = run(Job(taught, str(store.path), str(tmp_path / "student"), teachers), tmp_path / "students")
    assert set(student.losses) == {"total", "mood/moods", "energy/moods", "small_features/moods"}


def test_wrong_labels_are_named(moods: Path) -> None:
    (moods / "labels.csv").write_text("0.png,calm,1\n1.png,bored,2\n")
    with pytest.raises(DatabaseFormatError, match=r"labels\.csv:2: found 'bored', expected one of calm"):
        read_database("moods", moods, {})
