"""From a CNN to features, GRU teacher, GRU student and a submission."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch
from dense_labels import splits
from paper import TASKS
from test_loop import run, spawned, weights, with_changes

from abaw_ray.augmentation import window_variants
from abaw_ray.blocks.features import FeatureStore
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.teacher_outputs import TeacherOutputs
from abaw_ray.competition.check_submission import check_submission
from abaw_ray.competition.predict_set import predict_set
from abaw_ray.competition.track_files import TRACK_FORMATS
from abaw_ray.errors import ConfigurationError, MissingInputError, StoreError, UserError
from abaw_ray.evaluation import evaluator
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.evaluation.frames import evaluation_frames
from abaw_ray.inference.extract import extract_features
from abaw_ray.inference.features import ComputedFeatures
from abaw_ray.inference.predict import predict_windows
from abaw_ray.inference.teach import compute_teacher_outputs
from abaw_ray.models import checkpoint
from abaw_ray.sampling.windows import covering_windows
from abaw_ray.spaces import Split
from abaw_ray.training.job import Job, inherit_settings
from abaw_ray.training.stage import Stage
from abaw_ray.world import World


@pytest.fixture(scope="module")
def cnn(store: Path, recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a CNN with three tasks."""
    folder = tmp_path_factory.mktemp("cnn")
    run(Job(with_changes(recipe, train={"epochs": 1}), str(store), str(folder / "run")), folder)
    return folder / "0"


@pytest.fixture(scope="module")
def features(cluster: None, store: Path, cnn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All variants of the features of `cnn`."""
    folder = tmp_path_factory.mktemp("features") / "all"
    extract_features(cnn, store, folder)
    return folder


@pytest.fixture(scope="module")
def gru(store: Path, recipe, features: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a temporal teacher."""
    folder = tmp_path_factory.mktemp("gru")
    run(job(store, recipe, folder / "run", features=features), folder)
    return folder / "1"


def job(store: Path, recipe, out: Path, teachers: Sequence[Path] = (), **inputs: Path) -> Job:
    given: dict[str, Any] = {name: str(path) for name, path in inputs.items()}
    if "features" in given:
        given["features"] = (given["features"],)
    return inherit_settings(Job(recipe, str(store), str(out), tuple(str(teacher) for teacher in teachers), **given))


def test_features_are_those_of_the_cnn_in_every_variant(store, cnn, features):
    opened = Store(store)
    cached = FeatureStore(features, opened)
    cached.verify()
    trained = checkpoint.load(cnn)
    computed = ComputedFeatures(opened, trained.cnn(torch.device("cpu")), trained.recipe)
    train = opened.rows_with("expression", Split.TRAIN)
    rows = train[opened.index.database[train] == opened.databases.index("affwild2")][: 5 * len(cached.variants)]
    rows = rows.reshape(len(cached.variants), 5)
    chosen = np.arange(len(cached.variants))
    read, expected = cached.read(rows, chosen), computed.read(rows, chosen)
    assert read.keys() == expected.keys() == set(TASKS)
    for task in TASKS:
        assert read[task].shape == (len(chosen), 5, 128)
        np.testing.assert_allclose(read[task], expected[task], atol=1e-4)
    assert np.abs(read["expression"][0] - cached.read(rows, chosen[::-1].copy())["expression"][0]).max() > 1e-3
    num_variants = {block.num_variants for block in cached.manifest.blocks}
    assert num_variants == {1, len(window_variants(32, trained.recipe.augment))}


def test_training_from_the_cache_is_training_from_images(store, recipe, cnn, features, tmp_path):
    losses, reached = [], []
    for name, inputs in (("cached", {"features": features}), ("computed", {"cnn": cnn})):
        results = run(job(store, recipe, tmp_path / name / "run", **inputs), tmp_path / name)
        losses.append([result.losses["total"] for result in results])
        reached.append(weights(tmp_path / name / "1"))
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert max(float((reached[0][k] - reached[1][k]).abs().max()) for k in reached[0]) < 1e-3


def test_a_gru_student_learns_every_task_from_every_set(store, recipe, features, gru, tmp_path):
    (result, *_) = run(job(store, recipe, tmp_path / "run", features=features, teachers=[gru]), tmp_path)
    assert set(result.losses) == {"total", *(f"{task}/{own}_windows" for task in TASKS for own in TASKS)}
    assert all(math.isfinite(value) for value in result.losses.values())
    trained = checkpoint.load(tmp_path / "0")
    assert (trained.description.kind, trained.description.role) == ("temporal", "student")
    before, after = weights(gru.parent / "1"), weights(tmp_path / "1")
    same = {k for k in before if torch.equal(before[k], after[k])}
    assert same == {k for k in before if k.startswith("cnn.")}


def test_a_gru_student_learns_from_what_an_ensemble_said_of_every_frame(store, recipe, features, gru, tmp_path):
    """The windows of an evaluation, whatever the student's: a frame has one soft label, also in two windows."""
    (weaker, *_) = run(
        job(store, with_changes(recipe, train={"epochs": 1}), tmp_path / "b", features=features), tmp_path
    )
    assert weaker.epoch == 0
    teachers = [gru, tmp_path / "0"]
    made = compute_teacher_outputs(teachers, store, tmp_path / "outputs", recipe)
    assert (made.kind, made.num_views, len(made.teachers)) == ("temporal", 1, 2)
    opened = Store(store)
    source = FeatureStore(features, opened)
    video = int(np.flatnonzero(opened.videos.stop - opened.videos.start >= 40)[0])
    rows = np.arange(opened.videos.start[video], opened.videos.stop[video])
    windows, owner = covering_windows(np.array([0]), len(rows), recipe.temporal.window)
    tasks, p = {"expression": checkpoint.load(gru).tasks(recipe)["expression"]}, []
    for path in teachers:
        network = checkpoint.load(path).network(torch.device("cpu"))
        of_windows = predict_windows(network, tasks, source, rows[windows], recipe, World())["expression"]
        p.append(of_windows.reshape(-1, 7)[owner])
    found = TeacherOutputs(tmp_path / "outputs", opened).read(rows, np.zeros(len(rows), np.int64))["expression"]
    np.testing.assert_allclose(torch.from_numpy(found).softmax(-1), np.mean(p, axis=0), atol=1e-4)
    student = job(store, recipe, tmp_path / "run", teachers, features=features, teacher_outputs=tmp_path / "outputs")
    batch = Stage(student, torch.device("cpu")).data.batch(0, 0, World())["expression_windows"]
    assert batch.taught["valence_arousal"].shape == (4 * 16, 40)
    (result, *_) = run(student, tmp_path / "student")
    assert set(result.losses) == {"total", *(f"{task}/{own}_windows" for task in TASKS for own in TASKS)}
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "outputs").rglob("*.arrow")}
    assert compute_teacher_outputs(teachers, store, tmp_path / "outputs", recipe) == made
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "outputs").rglob("*.arrow")} == before
    image_student = Job(recipe, str(store), str(tmp_path), (str(gru),), teacher_outputs=str(tmp_path / "outputs"))
    with pytest.raises(ConfigurationError, match="outputs of other teachers"):
        Stage(image_student, torch.device("cpu"))


def test_evaluation_from_images_is_that_from_features(store, features, gru, tmp_path):
    scores = [
        evaluate(gru, store, tmp_path / name, features=given)["scores"]
        for name, given in (("images", []), ("features", [features]))
    ]
    for protocol in ("every_frame", "paper"):
        one, other = (s[protocol]["all"] for s in scores)
        assert one["criterion"] == pytest.approx(other["criterion"], abs=1e-3)
        assert one["expression"]["num_frames"] == other["expression"]["num_frames"]
    described = checkpoint.load(gru).description.scores
    assert scores[1]["every_frame"]["all"]["criterion"] == pytest.approx(described["every_frame"]["all"]["criterion"])


def test_every_labelled_frame_is_scored_once(store, cnn, gru, tmp_path):
    opened = Store(store)
    for run_of, databases in ((cnn, None), (gru, ["affwild2"])):
        result = evaluate(run_of, store, tmp_path / run_of.parent.name)
        codes = [i for i, name in enumerate(opened.databases) if databases is None or name in databases]
        for task in TASKS:
            own = np.isin(opened.index.database, codes)
            expected = int((splits(opened.labels(task))[own] == Split.VALIDATION).sum())
            unseen = splits(opened.unseen.labels(task)) == Split.VALIDATION
            expected += int(np.isin(opened.videos.database[opened.unseen.video[unseen]], codes).sum())
            assert result["scores"]["every_frame"]["all"][task]["num_frames"] == expected
        table = pq.read_table(tmp_path / run_of.parent.name / "predictions.parquet")
        assert result["num_frames_without_face"] == table["seen"].to_pylist().count(False) > 0
        videos = pyarrow.csv.read_csv(tmp_path / run_of.parent.name / "videos.csv")
        assert sum(videos["num_frames"].to_pylist()) == len(table)


def test_a_frame_without_face_has_the_last_prediction_before_it(store, cnn, tmp_path):
    evaluate(cnn, store, tmp_path)
    opened = Store(store)
    rows = pq.read_table(tmp_path / "predictions.parquet").to_pylist()
    predicted = {(row["video"], row["frame"]): row["predicted_valence_arousal"] for row in rows if row["seen"]}
    held = 0
    frames = evaluation_frames(opened, list(TASKS), Split.VALIDATION)
    video = frames.video()
    shown = {(frames.names[video[i]], int(frames.frame[i])): int(frames.row[i]) for i in range(len(frames))}
    for row in (row for row in rows if not row["seen"]):
        pictured = int(opened.index.frame[shown[row["video"], row["frame"]]])
        before = predicted.get((row["video"], pictured))
        if before is not None:
            assert row["predicted_valence_arousal"] == before
            held += 1
    assert held > 0


def test_smoothing_is_tuned_on_validation_only(store, cnn, tmp_path):
    plain = evaluate(cnn, store, tmp_path / "plain")
    tuned = evaluate(cnn, store, tmp_path / "tuned", smooth="tune")
    tried = tuned["smoothings_tried"]
    assert tried["none"] == pytest.approx(plain["scores"]["every_frame"]["all"]["criterion"])
    assert tuned["scores"]["every_frame"]["all"]["criterion"] == pytest.approx(max(tried.values()))
    again = evaluate(cnn, store, tmp_path / "again", smooth="gaussian:4")
    assert again["scores"]["every_frame"]["all"]["criterion"] == pytest.approx(tried["gaussian:4"])
    with pytest.raises(ConfigurationError, match="validation"):
        evaluate(cnn, store, tmp_path / "test", Split.TEST, smooth="tune")


def test_labels_of_the_test_set_are_not_published(store, cnn, tmp_path):
    with pytest.raises(StoreError, match="nothing to score"):
        evaluate(cnn, store, tmp_path, Split.TEST)


@pytest.mark.parametrize("kind", ["cnn", "gru"])
def test_a_submission_passes_the_checker_and_a_broken_one_does_not(store, databases, cnn, gru, tmp_path, kind):
    out = tmp_path / "entry"
    result = predict_set(cnn if kind == "cnn" else gru, store, out, smooth="median:5")
    videos = databases / "affwild2" / "videos"
    report = check_submission(out, videos)
    assert report.ok, report.render()
    for task, form in TRACK_FORMATS.items():
        files = sorted((out / form.folder).iterdir())
        assert len(files) == result["tasks"][task]["num_files"] > 0
        assert all(file.read_text().splitlines()[0] == form.header for file in files)
    file = sorted((out / "VA_Set").iterdir())[0]
    lines = file.read_text().split("\n")
    for broken, line in (
        (lines[:-1], None),
        (["arousal,valence", *lines[1:]], 1),
        ([*lines[:3], "0.5,1.5", *lines[4:]], 4),
    ):
        file.write_text("\n".join(broken))
        (violation,) = check_submission(out, videos).violations
        assert (violation.file, violation.line) == (file, line)


def test_a_cluster_evaluates_and_predicts_the_same_on_a_worker(store, gru, tmp_path, monkeypatch):
    here = evaluate(gru, store, tmp_path / "here")
    predict_set(gru, store, tmp_path / "entry")
    monkeypatch.setattr(evaluator, "predict_windows", None)  # of this process
    monkeypatch.setenv("RAY_ADDRESS", "named")
    monkeypatch.chdir(gru.parent)
    there = evaluate(Path(gru.name), store, tmp_path / "there")
    predict_set(Path(gru.name), store, tmp_path / "other entry")
    assert there["num_frames"] == here["num_frames"]
    one, other = (pq.read_table(tmp_path / name / "predictions.parquet") for name in ("here", "there"))
    for task in TASKS:
        predicted = (np.stack(table[f"predicted_{task}"].to_pylist()) for table in (one, other))
        np.testing.assert_allclose(*predicted, atol=1e-4)
    form = TRACK_FORMATS["valence_arousal"]
    files = [sorted((tmp_path / name / form.folder).iterdir()) for name in ("entry", "other entry")]
    for first, second in zip(*files, strict=True):
        assert first.name == second.name
        np.testing.assert_allclose(form.read(first)[1], form.read(second)[1], atol=2e-4)


def test_features_go_on_where_they_stopped_and_are_refused_elsewhere(cluster, store, cnn, gru, features, tmp_path):
    out = tmp_path / "features"
    manifest = extract_features(cnn, store, out, num_variants=1)
    assert {block.num_variants for block in manifest.blocks} == {1}
    first, second = (out / "blocks" / block.path for block in manifest.blocks[:2])
    kept = second.stat().st_mtime_ns
    first.unlink()
    (out / "features.json").rename(out / "unfinished.json")
    assert extract_features(cnn, store, out, num_variants=1) == manifest
    assert first.is_file()
    assert second.stat().st_mtime_ns == kept
    with pytest.raises(ConfigurationError, match="all_variants"):
        extract_features(cnn, store, out)
    with pytest.raises(ConfigurationError, match="variants"):
        extract_features(cnn, store, tmp_path / "other", num_variants=5)
    with pytest.raises(ConfigurationError, match="temporal network; expected a CNN"):
        extract_features(gru, store, tmp_path / "other")


def test_a_damaged_block_that_a_worker_meets_is_named(cluster, store, cnn, tmp_path):
    damaged = tmp_path / "store"
    shutil.copytree(store, damaged)
    for block in (damaged / "blocks" / "face" / "affwild2").rglob("*.arrow"):
        block.write_bytes(block.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"affwild2\S+\.arrow") as error:
        extract_features(cnn, damaged, tmp_path / "features")
    assert "Traceback" not in str(error.value)


def test_temporal_jobs_that_do_not_fit_are_refused(store, recipe, cnn, gru, features, tmp_path):
    cpu = torch.device("cpu")
    with pytest.raises(ConfigurationError, match="found a cnn network"):
        Stage(job(store, recipe, tmp_path, features=features, teachers=[cnn]), cpu).check(1)
    with pytest.raises(ConfigurationError, match="found a temporal network"):
        Stage(job(store, recipe, tmp_path, teachers=[gru]), cpu).check(1)
    with pytest.raises(ConfigurationError, match="sections tasks, model and augment"):
        Stage(Job(with_changes(recipe, model={"head": "reference"}), str(store), "", features=(str(features),)), cpu)
    with pytest.raises(StoreError, match=r"no 2000 consecutive ones.*temporal\.window"):
        Stage(job(store, with_changes(recipe, temporal={"window": 2000}), tmp_path, features=features), cpu)
    with pytest.raises(MissingInputError, match="no-features"):
        job(store, recipe, tmp_path, features=tmp_path / "no-features")


def test_windows_longer_than_any_run_of_validation_frames_leave_the_frames_to_be_scored(store, recipe, gru, features):
    opened, trained = Store(store), checkpoint.load(gru)
    longest = int(opened.videos.num_frames.max()) + 1
    changed = with_changes(recipe, temporal={"window": longest})
    source = FeatureStore(features, opened)
    scorer = evaluator.Evaluator(opened, trained.tasks(changed), Split.VALIDATION, changed, source)
    scores = scorer.score(scorer.predict(trained.network(torch.device("cpu")), World())).scores
    assert scores["paper"] == {}
    assert scores["every_frame"]["all"]["criterion"] > 0


def test_two_workers_reach_the_weights_of_one(store, recipe, features, gru, tmp_path):
    slow = with_changes(recipe, train={"epochs": 1, "learning_rate": 1e-4})
    student = job(store, slow, tmp_path / "run", features=features, teachers=[gru])
    run(student, tmp_path / "one")
    arguments = (2, str(tmp_path / "rendezvous"), student, tmp_path / "two")
    torch.multiprocessing.spawn(spawned, arguments, nprocs=2, join=True)
    one, two = weights(tmp_path / "one" / "0"), weights(tmp_path / "two" / "0")
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 1e-5
    assert one.keys() == two.keys()


def test_two_workers_share_a_window_batch(store, recipe, features, tmp_path):
    stage = Stage(job(store, recipe, tmp_path, features=features), torch.device("cpu"))
    whole = stage.data.batch(0, 0, World())["expression_windows"]
    parts = [stage.data.batch(0, 0, World(rank, 2))["expression_windows"] for rank in range(2)]
    torch.testing.assert_close(torch.cat([p.features["expression"] for p in parts]), whole.features["expression"])
    for task in TASKS:
        torch.testing.assert_close(torch.cat([p.labels.labels[task] for p in parts]), whole.labels.labels[task])
