"""Folders of pictures of one's own: names of classes and splits, and every way in which they can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from native_layouts import class_of, images, read

from abaw_ray.config import load_recipe
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.spaces import Split


def test_folder_knows_synonyms_and_image_types(tmp_path: Path) -> None:
    images(tmp_path / "HAPPY", "a.JPG", "b.webp", "notes.txt")
    images(tmp_path / "Surprised", "c.png")
    images(tmp_path, "loose.png", "README")
    rows, problems = read("folder", tmp_path)
    assert [(r["image"], class_of(r)) for r in rows] == [
        ("HAPPY/a.JPG", "Happiness"),
        ("HAPPY/b.webp", "Happiness"),
        ("Surprised/c.png", "Surprise"),
    ]
    assert problems.counts == {"unexpected_file": 2, "image_without_label": 1}


def test_folder_reads_pictures_anywhere_below_a_class(tmp_path: Path) -> None:
    images(tmp_path / "fear", "b.png")
    images(tmp_path / "fear" / "Ann" / "2021", "a.png", "notes.txt")
    images(tmp_path / "fear" / "Bob", "a.png")
    rows, problems = read("folder", tmp_path)
    assert [r["video"] for r in rows] == ["fear/Ann/2021/a.png", "fear/Bob/a.png", "fear/b.png"]
    assert {class_of(r) for r in rows} == {"Fear"}
    assert problems.counts == {"unexpected_file": 1}


def test_folder_counts_a_link_that_leads_back(tmp_path: Path) -> None:
    images(tmp_path / "fear", "a.png")
    (tmp_path / "fear" / "again").symlink_to(tmp_path / "fear", target_is_directory=True)
    rows, problems = read("folder", tmp_path)
    assert [r["image"] for r in rows] == ["fear/a.png"]
    assert problems.examples == {"unexpected_folder": [str(tmp_path / "fear" / "again")]}


def test_folder_passes_over_what_systems_leave(tmp_path: Path) -> None:
    images(tmp_path / "train" / "anger", "a.png", "._a.png", ".DS_Store", "Thumbs.db")
    images(tmp_path / "train" / "anger" / ".hidden", "c.png")
    images(tmp_path / "train" / "__MACOSX" / "anger", "a.png")
    images(tmp_path / "__MACOSX" / "train", "a.png")
    images(tmp_path, ".DS_Store")
    rows, problems = read("folder", tmp_path)
    assert [r["image"] for r in rows] == ["train/anger/a.png"]
    assert problems.counts == {"passed_over_by_name": 7}
    assert str(tmp_path / "train" / "anger" / "._a.png") in problems.examples["passed_over_by_name"]


def test_folder_with_explicit_splits(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        images(tmp_path / split / "fear", "a.png")
    rows, _ = read("folder", tmp_path)
    expected = [("test/fear/a.png", 3), ("train/fear/a.png", 1), ("validation/fear/a.png", 2)]
    assert [(r["video"], r["expression_split"]) for r in rows] == expected
    with pytest.raises(ConfigurationError, match="validation_fraction"):
        read("folder", tmp_path, validation_fraction=0.1)
    images(tmp_path / "anger", "a.png")
    with pytest.raises(DatabaseFormatError, match="anger beside split folders"):
        read("folder", tmp_path)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "VAL"])
def test_folder_knows_the_usual_names_of_a_validation_split(tmp_path: Path, name: str) -> None:
    images(tmp_path / "train" / "fear", "a.png")
    images(tmp_path / name / "fear", "b.png")
    rows, problems = read("folder", tmp_path)
    assert {r["image"]: r["expression_split"] for r in rows} == {
        "train/fear/a.png": Split.TRAIN,
        f"{name}/fear/b.png": Split.VALIDATION,
    }
    assert not problems.counts


def test_folder_holds_out_a_part(tmp_path: Path) -> None:
    images(tmp_path / "anger", *(f"{k}.png" for k in range(200)))
    rows, _ = read("folder", tmp_path, validation_fraction=0.5)
    assert 70 <= sum(r["expression_split"] == Split.VALIDATION for r in rows) <= 130


def test_folder_takes_the_classes_of_folders_by_option(tmp_path: Path) -> None:
    for name in ("train/0", "train/1", "val/1", "train/Happy"):
        images(tmp_path / name, "a.png")
    recipe = load_recipe(None, ["prepare.databases.folder.classes={0: Anger, '1': sad}"])
    rows, problems = read("folder", tmp_path, **recipe.prepare.databases["folder"])
    assert {r["image"]: class_of(r) for r in rows} == {
        "train/0/a.png": "Anger",
        "train/1/a.png": "Sadness",
        "val/1/a.png": "Sadness",
        "train/Happy/a.png": "Happiness",
    }
    assert not problems.counts


def test_folder_leaves_classes_out_by_option(tmp_path: Path) -> None:
    images(tmp_path / "Contempt", "a.png", "b.png")
    images(tmp_path / "Contempt" / "more", "c.png")
    images(tmp_path / "7", "d.png")
    images(tmp_path / "fear", "a.png")
    rows, problems = read("folder", tmp_path, leave_out=["contempt", 7])
    assert [r["image"] for r in rows] == ["fear/a.png"]
    assert problems.counts == {"class_left_out: contempt": 3, "class_left_out: 7": 1}
    assert problems.examples["class_left_out: 7"] == [str(tmp_path / "7" / "d.png")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": {"0": "Rage"}}, "folder '0' has class 'Rage', expected one of Neutral, Anger"),
        ({"classes": {"0": "Fear"}}, "name '0', no class folder in"),
        ({"leave_out": ["contempt"]}, "name 'contempt', no class folder in"),
        ({"classes": {"fear": "Sadness"}, "leave_out": ["Fear"]}, "folder 'fear' more than once"),
        ({"classes": {"fear": "Sadness", "FEAR": "Anger"}}, "folder 'fear' more than once"),
        ({"classes": ["fear"]}, "classes"),
        ({"leave_out": "fear"}, "leave_out"),
    ],
)
def test_folder_refuses_options_that_mean_nothing(tmp_path: Path, options: dict[str, object], message: str) -> None:
    images(tmp_path / "fear", "a.png")
    with pytest.raises(ConfigurationError, match=message):
        read("folder", tmp_path, **options)


def test_folder_with_an_unknown_class_names_the_known_ones(tmp_path: Path) -> None:
    images(tmp_path / "contempt", "a.png")
    with pytest.raises(DatabaseFormatError, match=r"'contempt'.*neutral.*happy"):
        read("folder", tmp_path)


def test_folder_without_class_folders_or_pictures(tmp_path: Path) -> None:
    images(tmp_path / "__MACOSX", "a.png")
    with pytest.raises(MissingInputError, match="no class folder"):
        read("folder", tmp_path)
    images(tmp_path / "fear", "notes.txt")
    with pytest.raises(MissingInputError, match="no usable row"):
        read("folder", tmp_path)
