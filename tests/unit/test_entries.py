"""Competition entries beside evaluations of the same frames: untrained networks on a store of two databases.

Database `b` of `stores.make_store` has a video without any image, `no image`, with four frames, two of them labelled.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from checkpoints import make_checkpoint
from dense_labels import splits
from paper import TASKS
from stores import make_store

from abaw_ray.blocks.labels import Labels, LabelSet
from abaw_ray.blocks.manifest import Problem
from abaw_ray.blocks.reader import Store
from abaw_ray.competition.predict_set import predict_set
from abaw_ray.competition.track_files import TRACK_FORMATS
from abaw_ray.errors import ConfigurationError, MissingInputError, StoreError
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.evaluation.evaluator import Evaluator
from abaw_ray.models import checkpoint
from abaw_ray.spaces import Split

SMOOTH = "median:5"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store")).path


@pytest.fixture(scope="module", params=["cnn", "temporal"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint", kind=request.param)


@pytest.fixture(scope="module")
def results(store: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smoothed evaluation on validation."""
    folder = tmp_path_factory.mktemp("results")
    evaluate(run, store, folder, smooth=SMOOTH)
    return folder


def scores_of(results: Path) -> dict[str, Any]:
    return json.loads((results / "scores.json").read_text())


def entry_scores(entry: Path, results: Path, run: Path) -> dict[str, Any]:
    """Scores of an entry's files against the labels of database `b`, by its tasks' own scores."""
    frames = [row for row in pq.read_table(results / "predictions.parquet").to_pylist() if row["database"] == "b"]
    scores = {}
    for name, task in checkpoint.load(run).tasks(checkpoint.load(run).recipe).items():
        form = TRACK_FORMATS[name]
        answers = {file.stem: form.read(file)[1] for file in (entry / form.folder).iterdir()}
        labelled = [f for f in frames if np.isfinite(f[name]).all()]
        given = np.stack([answers[f["video"]][f["frame"]] for f in labelled])
        if name == "expression":
            given = np.eye(TASKS[name])[given[:, 0].astype(int)]
        scores[name] = task.score(np.stack([f[name] for f in labelled]), given, {})
    return scores


def test_an_entry_with_an_evaluations_decisions_has_its_scores(store, run, results, tmp_path, caplog):
    evaluated = scores_of(results)["scores"]["every_frame"]["b"]
    with caplog.at_level(logging.WARNING):
        predict_set(run, store, tmp_path / "entry", Split.VALIDATION, "b", decisions=results)
    assert not caplog.records
    found = entry_scores(tmp_path / "entry", results, run)
    for task, key in (("expression", "criterion"), ("action_units", "criterion"), ("action_units", "macro_f1")):
        assert found[task][key] == pytest.approx(evaluated[task][key])
    for key in ("ccc_valence", "ccc_arousal", "rmse_valence"):
        assert found["valence_arousal"][key] == pytest.approx(evaluated["valence_arousal"][key], abs=1e-3)
    with caplog.at_level(logging.WARNING):
        predict_set(run, store, tmp_path / "other", Split.VALIDATION, "b", smooth=SMOOTH)
    (warning,) = caplog.records
    assert "fitted without smoothing" in warning.getMessage()
    assert f"evaluate --smooth {SMOOTH}" in warning.getMessage()
    other = entry_scores(tmp_path / "other", results, run)
    assert other["action_units"]["criterion"] != found["action_units"]["criterion"]


def test_scores_say_where_thresholds_were_fitted(results):
    assert scores_of(results)["thresholds_fitted_on_these_frames"]


def test_a_smoothed_evaluation_of_another_split_warns_of_its_thresholds(store, run, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        result = evaluate(run, store, tmp_path, Split.TRAIN, smooth=SMOOTH)
    assert ["fitted without smoothing" in record.getMessage() for record in caplog.records] == [True]
    assert not result["thresholds_fitted_on_these_frames"]
    assert not (tmp_path / "decisions.json").exists()


def test_decisions_of_something_else_are_refused(store, run, results, tmp_path):
    def refused(decisions: Path, error: type[Exception], match: str, of: Path = run, **options: Any) -> None:
        with pytest.raises(error, match=match):
            predict_set(of, store, tmp_path / "entry", Split.VALIDATION, "b", decisions=decisions, **options)
        assert not (tmp_path / "entry").exists()

    refused(results, ConfigurationError, "another network", of=make_checkpoint(tmp_path / "other", seed=1))
    refused(results, ConfigurationError, "no --smooth beside", smooth=SMOOTH)
    refused(tmp_path, MissingInputError, "no decisions")
    right = json.loads((results / "decisions.json").read_text())
    wrong = (
        right | {"smoothing": 5},
        right | {"smoothing": "median:4"},
        right | {"decisions": {"action_units": {"thresholds": [0.5] * 11}}},
        right | {"decisions": {"action_units": {"thresholds": "high"}}},
        right | {"decisions": {"pose": {}}},
        right | {"extra": 1},
    )
    file = tmp_path / "decisions.txt"
    for content in wrong:
        file.write_text(json.dumps(content))
        refused(file, ConfigurationError, r"decisions\.txt: expected the decisions of an evaluation, found")
    file.write_text("not json")
    refused(file, StoreError, r"decisions\.txt: found 'not json'")


def split_without_face(store: Store) -> Split:
    """A split that the video without any image has an expression label of."""
    unseen = np.flatnonzero(store.unseen.video == store.videos.names.index("no image"))
    splits = store.unseen.labels("expression").splits_of(unseen)
    return Split(int(splits[splits != Split.NONE][0]))


def test_labelled_frames_of_a_video_without_any_face_count(store, run, tmp_path):
    opened = Store(store)
    split = split_without_face(opened)
    evaluated = evaluate(run, store, tmp_path, split)
    assert evaluated["videos_without_face"] == ["no image"]
    databases = [0, 1] if checkpoint.load(run).description.kind == "cnn" else [1]
    own = np.isin(opened.index.database, databases)
    own_unseen = np.isin(opened.videos.database[opened.unseen.video], databases)
    for task in TASKS:
        expected = int((splits(opened.labels(task))[own] == split).sum())
        expected += int((splits(opened.unseen.labels(task))[own_unseen] == split).sum())
        assert evaluated["scores"]["every_frame"]["all"][task]["num_frames"] == expected
    rows = [r for r in pq.read_table(tmp_path / "predictions.parquet").to_pylist() if r["video"] == "no image"]
    assert rows
    assert all(set(r[f"predicted_{task}"]) == {0.0} for r in rows for task in TASKS)


def test_a_track_without_any_face_has_a_file_as_long_as_its_video(store, run, tmp_path):
    result = predict_set(run, store, tmp_path, split_without_face(Store(store)), "b")
    assert result["without_face"]["expression"] == ["no image"]
    for task, names in result["without_face"].items():
        assert len(list((tmp_path / TRACK_FORMATS[task].folder).iterdir())) == result["tasks"][task]["num_files"]
        for name in names:
            numbers = TRACK_FORMATS[task].read(tmp_path / TRACK_FORMATS[task].folder / f"{name}.txt")[1]
            np.testing.assert_array_equal(numbers, np.zeros((4, TRACK_FORMATS[task].num_fields)))


def chosen(labels: LabelSet, rows: np.ndarray) -> LabelSet:
    """The labels of some rows (rows,) bool."""
    own = rows[labels.labels.rows]
    return replace(labels, labels=Labels(*(column[own] for column in labels.labels)))


def test_a_task_whose_tracks_have_no_face_at_all_is_written(store, run, tmp_path, monkeypatch):
    opened = Store(store)
    pictured = opened.index.database == opened.databases.index("b")
    for task in TASKS:  # only the frames without an image are of a split
        opened.label_sets[task, ""] = chosen(opened.labels(task), ~pictured)
        faceless = opened.unseen.video == opened.videos.names.index("no image")
        unseen = chosen(opened.unseen.labels(task), faceless)
        every_test = unseen.labels._replace(splits=np.full(len(unseen), int(Split.TEST), np.int8))
        opened.unseen.label_sets[task, ""] = replace(unseen, labels=every_test)
    monkeypatch.setattr("abaw_ray.competition.predict_set.Store", lambda _: opened)
    result = predict_set(run, store, tmp_path, Split.TEST, "b")
    assert result["tasks"] == {task: {"num_files": 1, "num_frames": 4} for task in TASKS}
    trained = checkpoint.load(run)
    evaluator = Evaluator(opened, trained.tasks(trained.recipe), Split.TEST, trained.recipe, None, ["b"])
    with pytest.raises(StoreError, match="no face in any of the videos with test labels: no image"):
        evaluator.predict(None, None)  # type: ignore[arg-type]


def test_test_tracks_whose_video_was_not_found_are_reported(store, run, tmp_path, monkeypatch):
    opened = Store(store)
    entry = opened.manifest.databases[1]
    problem = {"video_not_found": Problem(count=3, examples=["videos: no video of track gone"])}
    databases = [opened.manifest.databases[0], entry.model_copy(update={"problems": problem})]
    opened.manifest = opened.manifest.model_copy(update={"databases": databases})
    monkeypatch.setattr("abaw_ray.competition.predict_set.Store", lambda _: opened)
    result = predict_set(run, store, tmp_path, Split.TEST, "b")
    assert result["without_video"] == ["videos: no video of track gone", "and 2 more"]
