"""What `inspect_database` reports, on generated databases."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from native_layouts import affwild2_track, expw, ferplus, units, write
from paper import EXPRESSIONS

from abaw_ray.databases import database
from abaw_ray.databases.base import LabelTable, Options, Problems, RowBuilder
from abaw_ray.databases.reading import inspection as reading
from abaw_ray.databases.reading.inspection import inspect_database
from abaw_ray.errors import ConfigurationError
from abaw_ray.spaces import LabelSpace, Split


def test_counts_faces_images_and_classes(tmp_path: Path) -> None:
    lines = ["two.jpg 0 10 20 60 50 90.5 3", "two.jpg 1 11 70 99 61 12.0 0", "gone.jpg 0 1 2 3 4 1 3"]
    expw(tmp_path, lines, ["two.jpg"])
    inspection = inspect_database("expw", tmp_path, {})
    assert (inspection.num_rows, inspection.num_images, inspection.num_videos) == (2, 1, 1)
    assert inspection.labels == {"expression": {"train": 2}}
    assert list(inspection.counts["expression"]["train"]) == list(EXPRESSIONS)
    assert inspection.counts["expression"]["train"]["Anger"] == 1
    assert inspection.counts["expression"]["train"]["Neutral"] == 0
    assert inspection.statistics == {}
    assert inspection.problems["frame_without_image"]["count"] == 1


def test_counts_by_task_and_split(tmp_path: Path) -> None:
    va = ["0.5,-1", "-0.25,0.5", "-5,-5"]
    affwild2_track(tmp_path, "a", [0, 0, 4], va, [1, 2, 3], valence_arousal_split="Validation_Set")
    inspection = inspect_database("affwild2", tmp_path, {})
    assert inspection.labels == {"expression": {"train": 3}, "valence_arousal": {"validation": 2}}
    assert inspection.statistics == {
        "valence_arousal": {
            "validation": {
                "valence": {"min": -0.25, "max": 0.5, "mean": 0.125},
                "arousal": {"min": -1.0, "max": 0.5, "mean": -0.25},
            }
        }
    }
    assert json.loads(json.dumps(inspection.to_dict())) == inspection.to_dict()


def test_unpublished_labels_are_counted_and_nothing_else(tmp_path: Path) -> None:
    affwild2_track(tmp_path, "a", [3, 3], ["0.5,0.5"], [1, 2], action_units=[units(["AU1", "AU4"]), units(["AU4"])])
    affwild2_track(tmp_path, "b", frames=[1, 2, 3])
    for task in ("expr", "va", "au"):
        write(tmp_path / f"{task}_test_file.txt", "b")
    inspection = inspect_database("affwild2", tmp_path, {})
    tasks = ("expression", "valence_arousal", "action_units")
    assert [inspection.labels[task] for task in tasks] == [{"train": n, "test": 3} for n in (2, 1, 2)]
    assert inspection.unpublished == {task: {"test": 3} for task in tasks}
    described = inspection.counts | inspection.statistics
    assert {task: set(by) for task, by in described.items()} == {task: {"train"} for task in tasks}
    assert inspection.counts["expression"]["train"] == {name: 2 * (name == "Fear") for name in EXPRESSIONS}
    assert inspection.statistics["valence_arousal"]["train"]["valence"] == {"min": 0.5, "max": 0.5, "mean": 0.5}
    assert {u: n for u, n in inspection.counts["action_units"]["train"].items() if n} == {"AU1": 1, "AU4": 2}
    text = inspection.render()
    assert "expression, test: the labels of 3 rows are not published" in text
    assert "AU26" in text
    assert "nan" not in text


def test_a_distribution_counts_for_its_largest_class(tmp_path: Path) -> None:
    ferplus(tmp_path, "FER2013Test", {"a.png": "3,0,0,0,0,6,1,0,0,0"}, {"a.png": b"a"})
    inspection = inspect_database("ferplus", tmp_path, {"labels": "distribution"})
    assert inspection.counts["expression"]["test"]["Disgust"] == 1


def test_labels_of_annotators_clips_and_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tones = LabelSpace(name="tones", kind="multilabel", names=("warm", "dark"), level="clip")
    person = LabelSpace(name="person", kind="multiclass", open=True)
    values = LabelSpace(name="values", kind="regression", names=("a", "b"))
    rows = RowBuilder((tones, person, values))
    rows.add("p", 0, "p.png", {"person": ("Ann", Split.TRAIN), ("values", "X"): ([0.5, math.nan], Split.TRAIN)})
    rows.add("q", 0, "q.png", {"person": (None, Split.TEST)})
    rows.label_clip("p", {"tones": ([1, math.nan], Split.TRAIN)})
    table = LabelTable((tones, person, values), rows.table(), Problems(), clips=rows.clips())
    monkeypatch.setattr(reading, "read_database", lambda *_: (database("folder"), Options(), table))
    inspection = inspect_database("folder", tmp_path, {})
    assert inspection.labels == {
        "tones": {"train": 1},
        "person": {"train": 1, "test": 1},
        "values@X": {"train": 1},
    }
    assert inspection.unpublished == {"person": {"test": 1}}
    assert inspection.counts == {"tones": {"train": {"warm": 1, "dark": 0}}}
    assert inspection.statistics == {"values@X": {"train": {"a": {"min": 0.5, "max": 0.5, "mean": 0.5}}}}
    assert "values@x" in inspection.render().lower()


def test_renders_plain_text_with_every_count_and_place(tmp_path: Path) -> None:
    root = tmp_path / "with [red]brackets[/red]"
    affwild2_track(root, "a", [0, 0, 9], ["0.5,-1", "-0.25,0.5", "-5,-5"], [1, 2])
    text = inspect_database("affwild2", root, {}).render()
    assert f"{root}: 2 faces, 2 images, 1 videos" in text
    assert "-0.250" in text
    assert "label_out_of_range: 1" in text
    assert f"{root / 'EXPR_Set/Train_Set/a.txt'}:4: 9" in text
    assert "\x1b" not in text


def test_unknown_database_and_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown database"):
        inspect_database("emotionet", tmp_path, {})
    with pytest.raises(ConfigurationError, match="fraction"):
        inspect_database("expw", tmp_path, {"fraction": 0.5})
