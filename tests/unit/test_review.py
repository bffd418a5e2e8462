"""A review of a store's labels, and what becomes of the file when a person has corrected it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.csv
import pytest
from checkpoints import make_checkpoint, small_recipe
from stores import make_store

from abaw_ray.blocks.reader import Store
from abaw_ray.cli.labels import label
from abaw_ray.errors import ConfigurationError, DatabaseFormatError, MissingInputError
from abaw_ray.evaluation import review as reviewing
from abaw_ray.evaluation.corrections import add_corrections
from abaw_ray.evaluation.review import review
from abaw_ray.evaluation.review_file import Doubt, Line, label_text, write_review
from abaw_ray.models import checkpoint
from abaw_ray.spaces import Split

HEADER = "database,video,frame,task,name,label,corrected"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_store(tmp_path / "store").path


def identity(store: Store, row: int) -> str:
    ((database, video, frame),) = store.frames_of(np.array([row]))
    return f"{database},{video},{frame}"


def labelled_row(store: Store, task: str) -> int:
    return int(np.flatnonzero(store.labels(task).splits_of(np.arange(25)) != Split.NONE)[0])


def corrected_file(folder: Path, *lines: str) -> Path:
    file = folder / "doubts.csv"
    file.write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8-sig")
    return file


def test_the_labels_doubted_most_are_listed_and_shown(store: Path, tmp_path: Path) -> None:
    """Of a network that was not trained, by labels that were drawn: it doubts many."""
    run = make_checkpoint(tmp_path / "run")
    result = review(store, run, tmp_path / "out", most=3)
    table = pyarrow.csv.read_csv(tmp_path / "out" / "doubts.csv").to_pylist()
    assert json.loads((tmp_path / "out" / "review.json").read_text()) == result
    assert result["trained_on"]["unknown"] == sum(found["num_labels"] for found in result["tasks"].values())
    assert "labels is not known: it was trained on a store of another content" in result["notices"][0]
    opened = Store(store)
    for task, found in result["tasks"].items():
        lines = [line for line in table if line["task"] == task]
        assert len(lines) == found["num_listed"] == min(3, found["num_doubted"])
        assert (tmp_path / "out" / f"{task}_doubts.png").is_file() == bool(lines)
        validated = np.isfinite(opened.labels(task).of(opened.rows_with(task, Split.VALIDATION))[0]).any(1)
        assert found["num_labels"] == validated.sum()
    assert table
    assert all(line["corrected"] in ("", None) for line in table)
    with pytest.raises(ConfigurationError, match="not empty, corrections may be in it"):
        review(store, run, tmp_path / "out")


def test_what_a_run_was_trained_on_is_said(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, load = make_checkpoint(tmp_path / "run"), checkpoint.load
    content_hash = Store(store).manifest.content_hash

    def same_store(path: Path) -> checkpoint.Checkpoint:
        found = load(path)
        described = found.description.model_copy(update={"store_hash": content_hash})
        return checkpoint.Checkpoint(found.path, found.recipe, described)

    monkeypatch.setattr(reviewing.checkpoint, "load", same_store)
    trained_on = review(store, run, tmp_path / "train", Split.TRAIN, most=1)
    assert not trained_on["trained_on"]["no"]
    assert "were trained on: the run may have learned their mistakes" in trained_on["notices"][0]
    held_out = review(store, run, tmp_path / "validation", most=1)
    assert not held_out["trained_on"]["yes"]
    assert "were not trained on" in held_out["notices"][0]


def test_a_label_that_the_network_speaks_against_is_listed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network's answers are the labels, but for that of one row, which is that of another one."""
    run, opened = make_checkpoint(tmp_path / "run"), Store(store)
    rows, space = opened.rows_with("expression", Split.VALIDATION), opened.spaces["expression"]
    classes = opened.labels("expression").of(rows)[0].argmax(1)
    other = int(np.flatnonzero(classes != classes[0])[0])

    def predicted(path: Path, place: Path, asked: np.ndarray, *_: object) -> dict[str, np.ndarray]:
        found = {task: np.nan_to_num(opened.labels(task).of(asked)[0]) for task in opened.spaces}
        found["valence_arousal:deviation"] = np.full(found["valence_arousal"].shape, 0.1)
        answers = found["expression"].argmax(1)
        answers[asked == rows[0]] = classes[other]
        found["expression"] = np.eye(space.size)[answers] * 0.9 + 0.1 / space.size
        return found

    monkeypatch.setattr(reviewing, "predict_stored", predicted)
    review(store, run, tmp_path / "out")
    with (tmp_path / "out" / "doubts.csv").open() as stream:
        (line,) = (line for line in csv.DictReader(stream) if line["task"] == "expression")
    assert f"{line['database']},{line['video']},{line['frame']}" == identity(opened, rows[0])
    assert (line["label"], line["answer"]) == (space.names[classes[0]], space.names[classes[other]])
    assert float(line["probability"]) == pytest.approx(0.9 + 0.1 / space.size, abs=1e-3)
    assert float(line["score"]) == pytest.approx(-0.9, abs=1e-3)


def test_corrections_are_an_annotator_with_all_other_labels(store: Path, tmp_path: Path) -> None:
    opened = Store(store)
    space, row = opened.spaces["expression"], labelled_row(opened, "expression")
    label = label_text(space, opened.labels("expression").of(np.array([row]))[0].argmax())
    unit_row, units = labelled_row(opened, "action_units"), opened.spaces["action_units"]
    stated = label_text(units, opened.labels("action_units").of(np.array([unit_row]))[0][0, 2])
    lines = [
        f"{identity(opened, row)},expression,,{label},  {space.names[4]}",
        f"{identity(opened, unit_row)},action_units,{units.names[2]},{stated},1",
        f"{identity(opened, row + 1)},expression,,anything,",
    ]
    manifest = add_corrections(store, corrected_file(tmp_path, *lines), "clean")
    found = Store(store)
    assert manifest == found.annotators["clean"]
    assert set(manifest.counts) == {"expression", "action_units"}
    every = np.arange(25)
    for task, changed, place, number in (("expression", row, 4, 1.0), ("action_units", unit_row, 2, 1.0)):
        (new, new_splits), (old, old_splits) = (found.label_sets[task, by].of(every) for by in ("clean", ""))
        np.testing.assert_array_equal(new_splits, old_splits)
        others = every != changed
        np.testing.assert_array_equal(new[others], old[others])
        assert new[changed, place] == number
    assert found.label_sets["expression", "clean"].of(np.array([row]))[0].sum() == 1
    assert add_corrections(store, tmp_path / "doubts.csv", "clean") == manifest
    corrected_file(tmp_path, lines[0])
    with pytest.raises(ConfigurationError, match=r"has labels of that name from corrections doubts\.csv"):
        add_corrections(store, tmp_path / "doubts.csv", "clean")


def test_a_label_can_be_taken_away(store: Path, tmp_path: Path) -> None:
    opened = Store(store)
    row = labelled_row(opened, "expression")
    label = label_text(opened.spaces["expression"], opened.labels("expression").of(np.array([row]))[0].argmax())
    add_corrections(store, corrected_file(tmp_path, f"{identity(opened, row)},expression,,{label},-"), "clean")
    found = Store(store)
    assert found.label_sets["expression", "clean"].splits_of(np.array([row])) == Split.NONE
    assert len(found.label_sets["expression", "clean"]) == len(opened.labels("expression")) - 1


@pytest.mark.parametrize(
    ("line", "found", "expected"),
    [
        ("c,{video},{frame},expression,,{label},Fear", "the database 'c'", "one of the store's: a, b"),
        ("{database},elsewhere,{frame},expression,,{label},Fear", "frame . of 'elsewhere'", "that is in the store"),
        ("{database},{video},999,expression,,{label},Fear", "frame 999 of", "that is in the store"),
        ("{database},{video},1.0,expression,,{label},Fear", r"the frame '1\.0'", "a whole number from 0"),
        ("{database},{video},{frame},mood,,{label},Fear", "the task 'mood'", "one of the store's: expression"),
        ("{database},{video},{frame},expression,AU1,{label},Fear", "the name 'AU1'", "none: expression is one of"),
        ("{database},{video},{frame},expression,,{label},Joy", "'Joy'", "one of Neutral, .*, or - for no label"),
        ("{database},{video},{frame},expression,,other,Fear", "the label 'other'", "{label}, as in the store"),
    ],
)
def test_corrections_that_cannot_be_are_named_with_their_line(
    store: Path, tmp_path: Path, line: str, found: str, expected: str
) -> None:
    opened = Store(store)
    row = labelled_row(opened, "expression")
    label = label_text(opened.spaces["expression"], opened.labels("expression").of(np.array([row]))[0].argmax())
    values = dict(zip(("database", "video", "frame"), identity(opened, row).split(","), strict=True), label=label)
    untouched = f"{identity(opened, row)},expression,,{label},"
    file = corrected_file(tmp_path, untouched, line.format(**values))
    with pytest.raises(
        DatabaseFormatError, match=f"doubts.csv:3: found {found}.*, expected .*{expected.format(**values)}"
    ):
        add_corrections(store, file, "clean")
    assert not Store(store).annotators


def test_numbers_out_of_range_and_second_corrections_are_named(store: Path, tmp_path: Path) -> None:
    opened = Store(store)
    row, unit_row = labelled_row(opened, "valence_arousal"), labelled_row(opened, "action_units")
    value = label_text(opened.spaces["valence_arousal"], opened.labels("valence_arousal").of(np.array([row]))[0][0, 0])
    unit = opened.spaces["action_units"].names[0]
    present = label_text(opened.spaces["action_units"], opened.labels("action_units").of(np.array([unit_row]))[0][0, 0])
    of_value = f"{identity(opened, row)},valence_arousal,valence,{value}"
    of_unit = f"{identity(opened, unit_row)},action_units,{unit},{present}"
    for lines, message in (
        ([f"{of_value},1.5"], r"csv:2: found '1\.5', expected a number from -1 to 1, or - for no label"),
        ([f"{of_value},high"], r"csv:2: found .*'high'.*, expected a number from -1 to 1"),
        ([f"{of_unit},2"], r"csv:2: found '2', expected 0, 1, or - for no label"),
        ([f"{of_value},0.5", f"{of_value},0.25"], r"csv:3: found a second correction.*csv:2"),
        ([f"{of_value},"], r"csv: found no line with a text in corrected, expected at least one"),
    ):
        with pytest.raises(DatabaseFormatError, match=message):
            add_corrections(store, corrected_file(tmp_path, *lines), "clean")
    (tmp_path / "other.csv").write_text("database;video\na;b\n")
    with pytest.raises(DatabaseFormatError, match=r"other\.csv:1: .*expected the column 'database'"):
        add_corrections(store, tmp_path / "other.csv", "clean")
    with pytest.raises(MissingInputError, match="abaw-ray review"):
        add_corrections(store, tmp_path / "none.csv", "clean")


def test_a_file_keeps_names_that_need_quotes(tmp_path: Path) -> None:
    doubt = Doubt(3, "", "Fear, or not", "Anger", 0.75, -0.5)
    lines = [Line("a", 'the "first", of two', 4, None, "mood", "no", doubt)]
    write_review(tmp_path / "doubts.csv", lines)
    with (tmp_path / "doubts.csv").open() as stream:
        (found,) = csv.DictReader(stream)
    assert (found["video"], found["label"], found["person"], found["corrected"]) == (
        'the "first", of two',
        "Fear, or not",
        "",
        "",
    )


def test_a_temporal_run_reviews_the_videos_that_it_can_see(store: Path, tmp_path: Path) -> None:
    run = make_checkpoint(tmp_path / "run", kind="temporal", recipe=small_recipe())
    review(store, run, tmp_path / "out")
    with (tmp_path / "out" / "doubts.csv").open() as stream:
        assert {line["database"] for line in csv.DictReader(stream)} == {"b"}


def command(*arguments: str | int | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "abaw_ray", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)


def test_the_way_from_a_review_to_an_annotator_as_it_is_typed(store: Path, tmp_path: Path) -> None:
    found = command(
        "review", store, "--run", make_checkpoint(tmp_path / "run"), "--out", tmp_path / "out", "--most", 2, "--json"
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["split"] == "validation"
    file = tmp_path / "out" / "doubts.csv"
    with file.open() as stream:
        lines = list(csv.DictReader(stream))
    lines[-1]["corrected"] = "-"
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    found = command("label", store, "--corrections", file, "--as", "clean", "--json")
    assert found.returncode == 0, found.stderr
    task = lines[-1]["task"]
    assert list(json.loads(found.stdout)["num_labels"]) == [task]
    assert (task, "clean") in Store(store).label_sets
    for given in ({}, {"run": tmp_path, "corrections": file}):
        with pytest.raises(ConfigurationError, match="expected either --run or --corrections"):
            label(store, "clean", **given)
