"""FER+'s votes as labels of annotators."""

from __future__ import annotations

from pathlib import Path

import pytest
from native_layouts import ferplus, read
from paper import EXPRESSIONS

from abaw_ray.databases.reading.database import read_database
from abaw_ray.databases.schemas import label_keys
from abaw_ray.errors import ConfigurationError
from abaw_ray.spaces import Split

VOTES = {  # neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF
    "a.png": "6,0,0,0,2,0,0,1,1,0",
    "b.png": "0,0,0,0,0,5,2,0,0,0",
    "tie.png": "4,0,4,0,0,0,0,2,0,0",
}


def write_votes(root: Path, votes: dict[str, str], folder: str = "FER2013Train") -> Path:
    return ferplus(root, folder, votes, {name: name.encode() for name in votes})


def votes_of(row: dict) -> list[str | None]:
    """Class of each annotator's label; None: no label."""
    keys = [f"expression@vote_{k}" for k in range(1, 11)]
    return [EXPRESSIONS[row[key].index(1.0)] if row.get(f"{key}_split") else None for key in keys]


@pytest.mark.parametrize("rule", ["majority", "distribution"])
def test_each_vote_is_a_label_beside_the_common_one(tmp_path: Path, rule: str) -> None:
    write_votes(tmp_path, VOTES)
    rows, problems = read("ferplus", tmp_path, labels=rule, annotators=True)
    common, same = read("ferplus", tmp_path, labels=rule)
    by_name = {row["video"].split("/")[1]: row for row in rows}
    assert votes_of(by_name["a.png"]) == ["Neutral"] * 6 + ["Anger"] * 2 + [None] * 2
    assert votes_of(by_name["b.png"]) == ["Disgust"] * 5 + ["Fear"] * 2 + [None] * 3
    assert [{key: row[key] for key in common[0]} for row in rows] == common
    assert problems == same


def test_votes_keep_the_split_of_their_face(tmp_path: Path) -> None:
    for folder in ("FER2013Valid", "FER2013Test"):
        write_votes(tmp_path, {f"{folder}.png": "0,9,0,0,0,0,0,0,1,0"}, folder)
    rows, _ = read("ferplus", tmp_path, annotators=True)
    assert [row["expression@vote_9_split"] for row in rows] == [Split.TEST, Split.VALIDATION]
    assert [votes_of(row)[9] for row in rows] == [None, None]


def test_there_are_no_annotators_unless_asked_for(tmp_path: Path) -> None:
    write_votes(tmp_path, VOTES)
    assert label_keys(read_database("ferplus", tmp_path, {})[2].rows) == [("expression", "")]
    with pytest.raises(ConfigurationError, match="annotators"):
        read("ferplus", tmp_path, annotators="some")


def test_more_votes_than_annotators_are_counted_and_leave_the_common_label(tmp_path: Path) -> None:
    file = write_votes(tmp_path, {"a.png": "6,0,0,0,2,0,0,1,1,0", "many.png": "2147483647,4,0,0,0,0,0,0,0,0"})
    rows, problems = read("ferplus", tmp_path, annotators=True)
    assert [row["expression"][0] for row in rows] == [1, 1]
    assert votes_of(rows[1]) == [None] * 10
    assert problems.counts == {"more_votes_than_annotators": 1}
    assert problems.examples["more_votes_than_annotators"][0].startswith(f"{file}:2: many.png")


def test_shuffled_votes_are_the_same_votes_in_an_order_of_each_face(tmp_path: Path) -> None:
    names = [f"{k}.png" for k in range(400)]
    write_votes(tmp_path, dict.fromkeys(names, "6,0,0,0,2,0,0,1,1,0"))
    rows, _ = read("ferplus", tmp_path, annotators="shuffled")
    found = [votes_of(row) for row in rows]
    assert all(sorted(votes, key=str) == ["Anger"] * 2 + ["Neutral"] * 6 + [None] * 2 for votes in found)
    assert read("ferplus", tmp_path, annotators="shuffled")[0] == rows
    for vote in range(10):  # of 400 faces 240 are expected, with a deviation of 10
        assert 190 < sum(votes[vote] == "Neutral" for votes in found) < 290
