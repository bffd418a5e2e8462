"""The YAML that is proposed for a table without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from native_layouts import images, read_table, write

from abaw_ray.databases.reading.database import read_database
from abaw_ray.errors import MissingInputError


def proposal(root: Path) -> str:
    """The YAML in the message about the one that lacks; it is saved where the message says."""
    with pytest.raises(MissingInputError, match=f"no file {root}/t.yaml") as error:
        read_database("table", root, {})
    text = str(error.value).split("\n\n", 1)[1]
    write(root / "t.yaml", text)
    return text


def proposed(root: Path) -> dict[str, Any]:
    values = yaml.safe_load(proposal(root))
    assert isinstance(values, dict)
    return values


def test_a_table_of_faces_can_be_read_as_proposed(tmp_path: Path) -> None:
    header = "image_path,Person ID,x1,y1,x2,y2,Usage,emotion,valence,arousal,AU01,AU12,glasses,age,mood,note"
    moods = ("calm", "tense")
    lines = [
        f"a/{k}.jpg,p{k},0,0,9,9,{'valid' if k else 'train'},Fear,0.{k},-1,{k % 2},0,1,{20 + k},{moods[k % 2]},note {k}"
        for k in range(9)
    ]
    write(tmp_path / "t.csv", "\n".join([header, *lines]))
    images(tmp_path, *(f"a/{k}.jpg" for k in range(9)))
    text = proposal(tmp_path)
    assert "# Not used: note" in text
    assert yaml.safe_load(text) == {
        "path": "image_path",
        "subject": "Person ID",
        "split": "Usage",
        "box": ["x1", "y1", "x2", "y2"],
        "spaces": {
            "expression": {"kind": "multiclass", "columns": ["emotion"]},
            "valence_arousal": {
                "kind": "regression",
                "columns": ["valence", "arousal"],
                "names": ["valence", "arousal"],
            },
            "action_units": {"kind": "multilabel", "columns": ["AU01", "AU12"], "names": ["AU1", "AU12"]},
            "attributes": {"kind": "multilabel", "columns": ["glasses"]},
            "age": {"kind": "regression", "columns": ["age"], "low": 20.0, "high": 28.0},
            "mood": {"kind": "multiclass", "columns": ["mood"], "names": ["calm", "tense"]},
        },
    }
    label_table = read_table("table", tmp_path)
    assert label_table.rows.num_rows == 9
    assert [space.name for space in label_table.spaces][:3] == ["expression", "valence_arousal", "action_units"]
    assert not label_table.problems.counts


def test_frames_with_landmarks(tmp_path: Path) -> None:
    points = [f"{axis}_{k}" for axis in "xy" for k in range(68)]  # as OpenFace writes them: all x first
    write(
        tmp_path / "t.csv",
        ",".join(["file", "video", "frame", "rater", "joy", *points]) + "\n" + "a/0.jpg,v,3,Ann,0.5" + ",1" * 136,
    )
    values = proposed(tmp_path)
    assert (values["video"], values["frame"], values["annotator"]) == ("video", "frame", "rater")
    assert values["landmarks"][:4] == ["x_0", "y_0", "x_1", "y_1"]
    assert "box" not in values


def test_classes_that_are_not_the_common_ones_are_named(tmp_path: Path) -> None:
    lines = [f"{k}.png,{'happy' if k % 3 else 'Fear'},{k % 4}" for k in range(8)]
    write(tmp_path / "t.csv", "\n".join(["where,Expression,2nd level", *lines]))
    values = proposed(tmp_path)
    assert values["path"] == "where", "found by what the cells look like"
    assert values["spaces"]["expression_2"] == {
        "kind": "multiclass",
        "columns": ["Expression"],
        "names": ["Fear", "happy"],
    }
    assert values["spaces"]["labels_2nd_level"]["high"] == 3


def test_a_column_of_other_sets_is_no_split(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", "path,set,mood\n" + "".join(f"{k}.png,{'AB'[k % 2]},calm\n" for k in range(9)))
    values = proposed(tmp_path)
    assert "split" not in values
    assert values["spaces"]["set"]["names"] == ["A", "B"]


def test_numbers_of_classes_want_names(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", "path,emotion\n" + "".join(f"{k}.png,{k % 3}\n" for k in range(9)))
    images(tmp_path, *(f"{k}.png" for k in range(9)))
    space = proposed(tmp_path)["spaces"]["emotion"]
    assert space["names"] == {"0": "CLASS 0", "1": "CLASS 1", "2": "CLASS 2"}
    assert read_table("table", tmp_path).spaces[0].names == ("CLASS 0", "CLASS 1", "CLASS 2")


def test_what_cannot_be_guessed_is_said(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", "a,b\nx,y\n")
    text = proposal(tmp_path)
    assert "# No column looks like paths of pictures" in text
    assert "# No column looks like labels" in text
    assert [line for line in text.splitlines() if line.startswith("# Not used")] == ["# Not used: a", "# Not used: b"]


def test_lists_of_parquet(tmp_path: Path) -> None:
    columns = {"path": ["a.jpg", "b.jpg"], "bbox": [[0, 0, 9, 9]] * 2, "odd": [{"x": 1}] * 2, "calm": [True, False]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    images(tmp_path, "a.jpg", "b.jpg")
    text = proposal(tmp_path)
    assert "# Not used: odd" in text
    assert yaml.safe_load(text)["box"] == ["bbox"]
    label_table = read_table("table", tmp_path)
    assert label_table.rows["attributes"].to_pylist() == [[1], [0]]
    assert label_table.rows["geometry"].to_pylist() == [[0, 0, 9, 9]] * 2


def test_headers_may_hold_what_yaml_has_a_meaning_for(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", "path,no: {x} #1\nüa.jpg,1\n.jpg,0\n")
    images(tmp_path, "üa.jpg")
    assert proposed(tmp_path)["spaces"] == {"attributes": {"kind": "multilabel", "columns": ["no: {x} #1"]}}
    assert read_table("table", tmp_path).rows.num_rows == 1
