"""Who a face is of, from the name of its file."""

from __future__ import annotations

from pathlib import Path

import pytest
from native_layouts import images, read, write

from abaw_ray.databases.base import Problems
from abaw_ray.databases.reading.subjects import subjects_of
from abaw_ray.errors import ConfigurationError
from abaw_ray.spaces import Split

PATTERN = r"(?P<subject>S\d+)_"


def test_a_path_that_does_not_match_is_of_nobody_known_and_counted() -> None:
    problems = Problems()
    paths = ["anger/S010_004_17.png", "anger/other.png", "fear/S999_001_02.png"]
    assert subjects_of(paths, PATTERN, problems) == ["S010", None, "S999"]
    assert problems.counts == {"path_without_subject": 1}
    assert problems.examples == {"path_without_subject": ["anger/other.png"]}
    assert subjects_of(["a/S1.png", "a/.png"], r"/(?P<subject>\w*)\.png", problems) == ["S1", None], "nothing is nobody"


def test_a_pattern_that_never_matches_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"subject_pattern: .* matches none of 2 paths, as .a/1\.png"):
        subjects_of(["a/1.png", "a/2.png"], PATTERN, Problems())
    assert subjects_of([], PATTERN, Problems()) == []


def test_folder_takes_people_from_names_as_ck_plus_has_them(tmp_path: Path) -> None:
    images(tmp_path / "anger", "S010_004_00000017.png", "S010_004_00000018.png", "S011_004_00000019.png", "odd.png")
    rows, problems = read("folder", tmp_path, subject_pattern=PATTERN)
    assert [row["subject_name"] for row in rows] == ["S010", "S010", "S011", None]
    assert problems.counts == {"path_without_subject": 1}
    rows, _ = read("folder", tmp_path)
    assert {row["subject_name"] for row in rows} == {None}


def test_folder_can_keep_people_whole_in_a_split(tmp_path: Path) -> None:
    images(tmp_path / "anger", *(f"S{who:03d}_{number}.png" for who in range(12) for number in range(3)))
    rows, _ = read("folder", tmp_path, subject_pattern=PATTERN, by="subject", validation_fraction=0.5)
    splits = {(row["subject_name"], row["expression_split"]) for row in rows}
    assert len(splits) == 12
    assert {split for _, split in splits} == {Split.TRAIN, Split.VALIDATION}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subject_pattern": r"(?P<who>S\d+)"}, "expected a group named subject"),
        ({"subject_pattern": r"(?P<subject>S\d+"}, "no regular expression"),
        ({"by": "subject"}, "by: found subject, expected a subject_pattern"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, str], message: str) -> None:
    images(tmp_path / "anger", "S010_1.png")
    with pytest.raises(ConfigurationError, match=message):
        read("folder", tmp_path, **options)


CONFIG = "path: path\nsubject_pattern: '(?P<subject>S[0-9]+)_'\nspaces:\n  mood: {kind: multiclass, columns: mood}\n"


def test_table_takes_people_from_paths(tmp_path: Path) -> None:
    paths = ["a/S1_2.jpg", "a/S2_1.jpg", "a/x.jpg", "a/S1_1.jpg"]
    images(tmp_path, *paths)
    write(tmp_path / "faces.yaml", CONFIG)
    write(tmp_path / "faces.csv", "path,mood\n" + "".join(f"{path},{'ab'[n % 2]}\n" for n, path in enumerate(paths)))
    rows, problems = read("table", tmp_path)
    found = {row["image"]: row["subject_name"] for row in rows}
    assert found == {"a/S1_1.jpg": "S1", "a/S1_2.jpg": "S1", "a/S2_1.jpg": "S2", "a/x.jpg": None}
    assert problems.counts == {"path_without_subject": 1}
    rows, _ = read("table", tmp_path, validation_fraction=0.5, by="subject")
    assert len({row["mood_split"] for row in rows if row["subject_name"] == "S1"}) == 1


def test_table_takes_people_from_a_column_or_from_paths(tmp_path: Path) -> None:
    images(tmp_path, "a/S1_1.jpg")
    write(tmp_path / "faces.yaml", CONFIG.replace("spaces", "subject: who\nspaces"))
    write(tmp_path / "faces.csv", "path,mood,who\na/S1_1.jpg,a,Ann\n")
    with pytest.raises(ConfigurationError, match="expected subject or subject_pattern, found both"):
        read("table", tmp_path)
