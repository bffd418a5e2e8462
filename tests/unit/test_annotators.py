"""Annotators that are added to a finished store, which stays as it was beside them."""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import make_checkpoint, small_recipe
from stores import make_store

from abaw_ray.blocks import annotators
from abaw_ray.blocks.annotators import LabelSource, annotator_folder, earlier_annotator, write_annotator
from abaw_ray.blocks.labels import Labels
from abaw_ray.blocks.manifest import Manifest
from abaw_ray.blocks.reader import Store
from abaw_ray.check import check_place
from abaw_ray.config import load_recipe
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.inference.label import (
    FIRST_ROW,
    PREDICTED,
    LabellingWorker,
    answer_vectors,
    rows_or_clips,
    run_source,
    splits_of_answers,
)
from abaw_ray.inference.store_predictions import in_space, predict_stored, predictable_rows, shared_spaces
from abaw_ray.models import checkpoint
from abaw_ray.spaces import Split

SOURCE = LabelSource(kind="run", name="run/epoch-0001", sha256="a" * 64, settings={"precision": "float32"})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_store(tmp_path / "store").path


def classes_for(store: Store, classes: list[int], rows: list[int]) -> dict[str, Labels]:
    values = np.eye(store.spaces["expression"].size, dtype=np.float32)[classes]
    return {"expression": Labels(np.array(rows), values, np.full(len(rows), Split.TRAIN, np.int8))}


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_labels_are_read_by_their_annotators_name_and_nothing_else_changes(store: Path) -> None:
    before, opened = contents(store), Store(store)
    write_annotator(opened, "machine", SOURCE, classes_for(opened, [2, 0, 1], [3, 8, 20]))
    again = Store(store)
    vectors, splits = again.label_sets["expression", "machine"].of(np.array([20, 3, 4]))
    np.testing.assert_array_equal(vectors.argmax(1)[:2], [1, 2])
    np.testing.assert_array_equal(splits, [Split.TRAIN, Split.TRAIN, Split.NONE])
    assert again.annotators["machine"].counts == {"expression": {"b": {"train": 2}, "a": {"train": 1}}}
    after = contents(store)
    assert {name: after[name] for name in before} == before
    assert check_place(store).ok
    found, expected = again.labels("expression").of(np.arange(25)), opened.labels("expression").of(np.arange(25))
    np.testing.assert_array_equal(found[0], expected[0])


def test_the_same_labels_are_the_same_bytes_and_are_not_written_twice(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "copy")
    for place in (store, tmp_path / "copy"):
        opened = Store(place)
        write_annotator(opened, "machine", SOURCE, classes_for(opened, [2, 0], [3, 8]))
    assert contents(store) == contents(tmp_path / "copy")
    opened = Store(store)
    assert earlier_annotator(opened, "machine", SOURCE) == opened.annotators["machine"]
    (file,) = (annotator_folder(store, "machine") / "labels").iterdir()
    file.write_bytes(b"other")
    assert [finding.path for finding in check_place(store).findings] == [str(file)]
    with pytest.raises(StoreError, match=r"expression@machine\.arrow: damaged.*label the store again"):
        Store(store)
    assert earlier_annotator(opened, "machine", SOURCE) is None, "damaged ones are written again"


@pytest.mark.parametrize("name", ["", "a b", "../x", ".hidden", "a@b", "ä"])
def test_names_that_are_no_folders_of_their_own_are_refused(store: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--as .*expected a name of letters"):
        earlier_annotator(Store(store), name, SOURCE)


def test_a_name_has_one_source(store: Path) -> None:
    opened = Store(store)
    write_annotator(opened, "machine", SOURCE, classes_for(opened, [2], [3]))
    for change in ({"sha256": "b" * 64}, {"settings": {"precision": "bfloat16"}}):
        with pytest.raises(
            ConfigurationError, match=r"--as machine: .* has labels of that name from run run/epoch-0001"
        ):
            earlier_annotator(opened, "machine", SOURCE.model_copy(update=change))


def test_a_databases_own_annotators_keep_their_names(store: Path) -> None:
    opened = Store(store)
    entry = opened.manifest.labels[0].model_copy(update={"annotator": "vote_1"})
    opened.manifest = opened.manifest.model_copy(update={"labels": [*opened.manifest.labels, entry]})
    with pytest.raises(ConfigurationError, match="has an annotator vote_1 already"):
        earlier_annotator(opened, "vote_1", SOURCE)


@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError])
def test_stopped_before_the_end_the_store_is_as_it_was(
    store: Path, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]
) -> None:
    before, opened = contents(store), Store(store)

    def stop(*_: object) -> None:
        raise fault

    with monkeypatch.context() as patch, pytest.raises((fault, ConfigurationError)):  # noqa: PT012
        patch.setattr(annotators, "write_text", stop)
        write_annotator(opened, "machine", SOURCE, classes_for(opened, [2], [3]))
    assert contents(store) == before


KILLED = """
import os, sys
import numpy as np
from abaw_ray.blocks import annotators
from abaw_ray.blocks.labels import Labels
from abaw_ray.blocks.reader import Store

annotators.write_text = lambda *_: os._exit(9)
store = Store(sys.argv[1])
source = annotators.LabelSource(kind="run", name="run", sha256="a")
values = np.eye(store.spaces["expression"].size, dtype=np.float32)[[2]]
annotators.write_annotator(store, "machine", source, {"expression": Labels(np.array([3]), values, np.ones(1, np.int8))})
"""


def test_what_a_killed_process_has_left_is_no_annotator(store: Path) -> None:
    before = contents(store)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(store)], timeout=120, check=False)
    assert killed.returncode == 9
    after = contents(store)
    assert {name: after[name] for name in before} == before
    opened = Store(store)
    assert not opened.annotators
    assert check_place(store).ok
    write_annotator(opened, "machine", SOURCE, classes_for(opened, [1], [3]))
    assert Store(store).label_sets["expression", "machine"].of(np.array([3]))[0].argmax() == 1


def test_labels_of_other_rows_or_splits_are_left_out_and_said_so(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened = Store(store)
    write_annotator(opened, "machine", SOURCE, classes_for(opened, [2], [3]))
    other = opened.manifest.model_copy(update={"labels": opened.manifest.labels[1:]})
    other.model_copy(update={"content_hash": other.hash()}).save(store)
    with caplog.at_level(logging.WARNING):
        found = Store(store)
    assert ("expression", "machine") not in found.label_sets
    assert "machine: left out, the store was prepared again" in caplog.text


def test_what_is_computed_from_the_store_still_fits(store: Path) -> None:
    before, opened = Manifest.load(store), Store(store)
    write_annotator(opened, "machine", SOURCE, classes_for(opened, [2], [3]))
    after = Manifest.load(store)
    assert (after.content_hash, after.hash_of()) == (before.content_hash, before.hash_of())


def test_answers_are_never_trained_on_where_something_is_validated(store: Path) -> None:
    opened = Store(store)
    for task in opened.spaces:
        own = opened.labels(task).splits_of(np.arange(25))
        splits = splits_of_answers(opened, task)
        np.testing.assert_array_equal(splits[own != Split.NONE], own[own != Split.NONE])
        for video in range(len(opened.videos)):
            rows = np.arange(opened.videos.start[video], opened.videos.stop[video])
            of_any = np.concatenate([opened.labels(t).splits_of(rows) for t in opened.spaces])
            unseen = np.flatnonzero(opened.unseen.video == video)
            of_unseen = np.concatenate([opened.unseen.labels(t).splits_of(unseen) for t in opened.spaces])
            free = rows[own[rows] == Split.NONE]
            assert (splits[free] == max(of_any.max(initial=0), of_unseen.max(initial=0))).all()


def test_a_worker_predicts_what_this_process_does(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # the tests' own process keeps its threads
    run, recipe = make_checkpoint(tmp_path / "run"), small_recipe()
    worker = LabellingWorker(str(store), str(run), recipe)
    expected = predict_stored(run, store, np.arange(25), recipe)
    found = worker({FIRST_ROW: np.array([7]), "num_rows": np.array([1])})
    assert (found[FIRST_ROW], found["error"]) == ([7], [""])
    for task in Store(store).spaces:
        np.testing.assert_allclose(found[f"{PREDICTED}{task}"][0], expected[task][7:8], atol=1e-6)


def test_temporal_networks_answer_for_frames_of_whole_videos(store: Path, tmp_path: Path) -> None:
    run, recipe, opened = make_checkpoint(tmp_path / "run", kind="temporal"), small_recipe(), Store(store)
    rows = predictable_rows(checkpoint.load(run), opened, recipe)
    np.testing.assert_array_equal(rows, np.arange(8, 25))  # database b
    every = predict_stored(run, store, rows, recipe)
    some = predict_stored(run, store, np.array([9, 24]), recipe)
    np.testing.assert_allclose(some["expression"], every["expression"][[1, 16]], atol=1e-6)
    nowhere = small_recipe("temporal.databases=[c]")
    with pytest.raises(ConfigurationError, match=r"temporal.databases: found c, of which"):
        predictable_rows(checkpoint.load(run), opened, nowhere)


def test_where_labels_come_from_names_no_place(tmp_path: Path) -> None:
    trained = checkpoint.load(make_checkpoint(tmp_path / "run" / "epoch-0001"))
    source = run_source(trained, trained.recipe)
    assert source.name == "run/epoch-0001"
    assert str(tmp_path) not in source.model_dump_json()
    assert source.settings == {"weights_sha256": trained.weights_sha256(), "changed": {}}
    changed = load_recipe(None, ["train.evaluation_batch_size=7"], base=trained.recipe)
    assert run_source(trained, changed).settings["changed"] == {"train.evaluation_batch_size": 7}


def test_answers_in_a_larger_space_leave_the_other_names_unknown(store: Path, tmp_path: Path) -> None:
    trained, opened = checkpoint.load(make_checkpoint(tmp_path / "run")), Store(store)
    spaces = shared_spaces(trained, opened)
    assert list(spaces) == list(opened.spaces)
    own = spaces["expression"]
    larger = own.model_copy(update={"names": ("Other", *own.names)})
    opened.manifest = opened.manifest.model_copy(update={"spaces": (larger,)})
    assert shared_spaces(trained, opened) == {"expression": own}
    found = in_space(np.eye(own.size, dtype=np.float32)[:1], own, larger)
    assert np.isnan(found[0, 0])
    assert found[0, 1] == 1
    smaller = own.model_copy(update={"names": own.names[1:]})
    opened.manifest = opened.manifest.model_copy(update={"spaces": (smaller,)})
    with pytest.raises(ConfigurationError, match=f"expression: found {own.names[0]} of .*, expected what"):
        shared_spaces(trained, opened)
    opened.manifest = opened.manifest.model_copy(update={"spaces": (own.model_copy(update={"name": "mood"}),)})
    with pytest.raises(ConfigurationError, match=r"found no task that .* has, too: mood"):
        shared_spaces(trained, opened)


def test_answers_of_every_kind_are_labels(tmp_path: Path) -> None:
    tasks = checkpoint.load(make_checkpoint(tmp_path / "run")).tasks(small_recipe())
    found = answer_vectors(tasks["expression"], np.array([[0.2, 0.5, 0.3, 0, 0, 0, 0]]), {})
    np.testing.assert_array_equal(found, [[0, 1, 0, 0, 0, 0, 0]])
    units = tasks["action_units"]
    thresholds = {"thresholds": [0.7] * units.space.size}
    assert not answer_vectors(units, np.full((1, units.space.size), 0.6), thresholds).any()
    assert answer_vectors(units, np.full((1, units.space.size), 0.8), thresholds).all()
    np.testing.assert_array_equal(answer_vectors(tasks["valence_arousal"], np.array([[1.5, -0.25]]), {}), [[1, -0.25]])


def test_a_clips_answer_is_of_the_mean_of_its_frames() -> None:
    clip = np.array([1, 1, -1, 0, 1])
    places, values = rows_or_clips(clip, np.array([0, 1, 2, 3]), np.array([[0.0], [1.0], [9.0], [4.0]]))
    np.testing.assert_array_equal(places, [0, 1])
    np.testing.assert_array_equal(values, [[4], [0.5]])
