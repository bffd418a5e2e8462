"""Entries with a line for an image, of untrained networks on a store whose database has eight expressions."""

from __future__ import annotations

from pathlib import Path

import checkpoints
import numpy as np
import pytest
import stores
from paper import SPACES

from abaw_ray.blocks.manifest import DatabaseEntry
from abaw_ray.blocks.reader import Store
from abaw_ray.competition.predict_set import predict_set
from abaw_ray.competition.write_entry import entry_edition, require_names, write_images
from abaw_ray.databases.reading.spaces import ACTION_UNITS, EXPRESSION, EXPRESSION_OR_OTHER, VALENCE_AROUSAL
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.spaces import Split

ALL = (EXPRESSION_OR_OTHER, VALENCE_AROUSAL, ACTION_UNITS)
FILES = {"expression": "EXPR.txt", "valence_arousal": "VA.txt", "action_units": "AU.txt"}
LENGTHS = {"no image": 4, "video 2": 12, "video 3": 6}
"""Of the videos of database b of `stores.make_store`."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "SPACES", ALL)
        patch.setattr(stores, "TASKS", {space.name: space.size for space in ALL})
        return stores.make_store(tmp_path_factory.mktemp("store")).path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "SPACES", ALL)
        return checkpoints.make_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint")


def rows_of(file: Path) -> dict[str, list[float]]:
    """Image -> numbers, of the lines below the header."""
    lines = [line.split(",") for line in file.read_text().split("\n")[1:]]
    assert len({line[0] for line in lines}) == len(lines)
    return {image: [float(number) for number in numbers] for image, *numbers in lines}


def labelled(store: Path, task: str, split: Split) -> set[str]:
    """The images of database b with a label of a task in a split."""
    opened = Store(store)
    rows = np.flatnonzero(opened.labels(task).mask(split) & (opened.index.database == 1))
    videos = opened.index.video(rows)
    found = {f"{v}/{f + 1:05d}.jpg" for v, f in zip(videos, opened.index.frame[rows].tolist(), strict=True)}
    for place in opened.unseen.labels(task).rows_with(split).tolist():
        video = int(opened.unseen.video[place])
        if opened.videos.database[video] == 1:
            found.add(f"{opened.videos.names[video]}/{int(opened.unseen.frame[place]) + 1:05d}.jpg")
    return found


@pytest.mark.parametrize("split", [Split.TRAIN, Split.VALIDATION, Split.TEST])
def test_a_file_a_task_has_every_frame_of_its_tracks(store: Path, run: Path, tmp_path: Path, split: Split) -> None:
    result = predict_set(run, store, tmp_path, split, "b", edition="abaw3")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES.values())
    for task, name in FILES.items():
        tracks = {image.partition("/")[0] for image in labelled(store, task, split)}
        expected = [f"{track}/{k + 1:05d}.jpg" for track in sorted(tracks) for k in range(LENGTHS[track])]
        assert list(rows_of(tmp_path / name)) == expected
        assert result["tasks"][task] == {"num_files": 1, "num_frames": len(expected)}
        assert result["without_face"][task] == sorted(tracks & {"no image"})


def test_answers_are_those_of_files_a_track(store: Path, run: Path, tmp_path: Path) -> None:
    predict_set(run, store, tmp_path / "images", Split.TRAIN, "b", edition="abaw3")
    predict_set(run, store, tmp_path / "all", Split.TRAIN, "b", edition="mtl")
    with pytest.MonkeyPatch.context() as patch:  # of the other edition, whatever the number of classes
        patch.setattr("abaw_ray.competition.predict_set.require_names", lambda *_: None)
        predict_set(run, store, tmp_path / "tracks", Split.TRAIN, "b", edition="abaw2")
    every, start = rows_of(tmp_path / "all" / "MTL.txt"), {"valence_arousal": 0, "expression": 2, "action_units": 3}
    for task, name in FILES.items():
        rows = rows_of(tmp_path / "images" / name)
        folder = tmp_path / "tracks" / name.replace(".txt", "_Set")
        for image, numbers in rows.items():
            track, _, frame = image.removesuffix(".jpg").partition("/")
            line = (folder / f"{track}.txt").read_text().split("\n")[int(frame)]
            assert [float(number) for number in line.split(",")] == numbers
        for image in rows.keys() & every.keys():
            assert every[image][start[task] :][: len(rows[image])] == rows[image]


def test_the_multi_task_file_has_the_listed_images(store: Path, run: Path, tmp_path: Path) -> None:
    result = predict_set(run, store, tmp_path, Split.TEST, "b", edition="mtl")
    rows = rows_of(tmp_path / "MTL.txt")
    assert set(rows) == set.union(*(labelled(store, task, Split.TEST) for task in FILES))
    assert list(rows) == sorted(rows)
    assert {len(numbers) for numbers in rows.values()} == {15}
    assert 0 < len(rows) < sum(LENGTHS.values())
    assert result["tasks"] == {"MTL.txt": {"num_files": 1, "num_frames": len(rows)}}


def test_an_edition_that_does_not_fit_is_refused(store: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"expression of an entry of abaw2: found .*Other, expected"):
        predict_set(run, store, tmp_path / "entry", Split.TEST, "b")
    assert not (tmp_path / "entry").exists()
    for edition in ("abaw3", "mtl"):
        with pytest.raises(ConfigurationError, match="is it another edition"):
            require_names(edition, [EXPRESSION])
    with pytest.raises(ConfigurationError, match="no task pose"):
        require_names("abaw3", [EXPRESSION.model_copy(update={"name": "pose"})])
    with pytest.raises(ConfigurationError, match="found no action_units"):
        require_names("mtl", ALL[:2])
    require_names("abaw2", SPACES)
    require_names("mtl", ALL)


@pytest.mark.parametrize(
    ("name", "options", "edition"),
    [
        ("affwild2", {}, "abaw2"),
        ("affwild2", {"edition": "abaw2"}, "abaw2"),
        ("affwild2", {"edition": "abaw3"}, "abaw3"),
        ("affwild2_abaw3", {"edition": "abaw3"}, "abaw3"),
        ("affwild2_mtl", {}, "mtl"),
        ("mine", {}, "abaw2"),
    ],
)
def test_the_edition_of_a_database(name: str, options: dict[str, str], edition: str) -> None:
    entry: DatabaseEntry = stores.database_entry("a").model_copy(update={"name": name, "options": options})
    assert entry_edition(entry) == edition


def test_a_task_without_answers_has_no_file(tmp_path: Path) -> None:
    answers = {"valence_arousal": {"b": np.zeros((1, 2)), "a": np.array([[1, -0.5], [0.12344, 0]])}}
    assert write_images(tmp_path, "abaw3", answers) == {"valence_arousal": {"num_files": 1, "num_frames": 3}}
    (file,) = tmp_path.iterdir()
    assert (file.name, file.read_text().split("\n")) == (
        "VA.txt",
        [
            "image_location,valence,arousal",
            "a/00001.jpg,1.0000,-0.5000",
            "a/00002.jpg,0.1234,0.0000",
            "b/00001.jpg,0.0000,0.0000",
        ],
    )


def test_the_criterion_of_training_is_that_of_evaluation(store: Path, tmp_path: Path) -> None:
    criteria = {}
    for criterion in ("abaw2", "abaw3"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoints, "SPACES", ALL)
            tasks = {space.name: {"criterion": criterion} for space in ALL}
            made = checkpoints.make_checkpoint(tmp_path / criterion, tasks=tasks)
        scores = evaluate(made, store, tmp_path / f"{criterion} results", Split.TRAIN)["scores"]["every_frame"]["b"]
        criteria[criterion] = scores
    scores = criteria["abaw3"]
    ccc = (scores["valence_arousal"]["ccc_valence"] + scores["valence_arousal"]["ccc_arousal"]) / 2
    expected = scores["expression"]["macro_f1"] + ccc + scores["action_units"]["macro_f1"]
    assert scores["criterion"] == pytest.approx(expected)
    assert criteria["abaw2"]["criterion"] != pytest.approx(expected)
