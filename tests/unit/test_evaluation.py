"""What an evaluation writes: calibration, intervals, deviations, figures, decisions, and the tables of a command."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from checkpoints import make_checkpoint, small_recipe
from paper import SPACES, TASKS
from rich.console import Console, Group
from stores import make_store

from abaw_ray.blocks.reader import Store
from abaw_ray.console import table
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.calibration import fit_calibration
from abaw_ray.evaluation.calibration_report import calibrations
from abaw_ray.evaluation.calibration_scores import calibration_scores
from abaw_ray.evaluation.decisions import read_decisions
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.evaluation.evaluator import Evaluator
from abaw_ray.evaluation.fitting import fit_decisions
from abaw_ray.evaluation.groups import first_part
from abaw_ray.evaluation.predictions import prediction_table
from abaw_ray.evaluation.score_tables import calibration_rows, score_rows
from abaw_ray.evaluation.smoothing import parse_smoothing
from abaw_ray.inference.predict import predict_rows
from abaw_ray.models import checkpoint
from abaw_ray.spaces import Split
from abaw_ray.world import World

REGRESSION = next(space.name for space in SPACES if space.kind == "regression")
NUM_VIDEOS, LENGTH = 40, 25


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store")).path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint")


def drawn(seed: int = 0) -> dict[str, Any]:
    """Videos of a network that is too sure of itself: the columns of a table, and its deviations."""
    rng, n = np.random.default_rng(seed), NUM_VIDEOS * LENGTH
    z = rng.normal(0, 1, (n, 7))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    q = np.exp(3 * z) / np.exp(3 * z).sum(1, keepdims=True)
    units = rng.normal(-1, 1.5, (n, 12))
    values = rng.uniform(-0.5, 0.5, (n, 2))
    number = np.arange(n)
    return {
        "spaces": SPACES,
        "database": ["a" if i < n // 2 else "b" for i in number],
        "video": [f"v{i // LENGTH}" for i in number],
        "frame": number % LENGTH,
        "seen": np.ones(n, bool),
        "labels": {
            "expression": np.eye(7)[(p.cumsum(1) > rng.random((n, 1))).argmax(1)],
            "valence_arousal": np.clip(values + rng.normal(0, 0.2, values.shape), -1, 1),
            "action_units": (rng.random(units.shape) < 1 / (1 + np.exp(-units))).astype(float),
        },
        "predictions": {
            "expression": q.astype(np.float32),
            "valence_arousal": values.astype(np.float32),
            "action_units": (1 / (1 + np.exp(-2 * units))).astype(np.float32),
        },
        "deviations": {"valence_arousal": np.full((n, 2), 0.1, np.float32)},
    }


def tasks_of(run: Path) -> dict[str, Any]:
    return checkpoint.load(run).tasks(small_recipe())


def test_what_an_evaluation_gives_is_json_and_what_it_writes(store: Path, run: Path, tmp_path: Path):
    result = evaluate(run, store, tmp_path)
    written = json.loads((tmp_path / "scores.json").read_text())
    assert json.loads(json.dumps(result, allow_nan=False)) == written
    assert written["intervals"].keys() == {"b", "all"}  # of database a there is but one video
    assert written["calibration"].keys() == TASKS.keys()
    reliability = {f"{name}_reliability.png" for name in TASKS}
    others = {"expression_confusion.png", "valence_arousal.png", "action_units.png"}
    assert {file.name for file in tmp_path.glob("*.png")} == reliability | others


def test_deviations_stand_beside_predictions(store: Path, run: Path, tmp_path: Path):
    """They are those that the network gives of the pictures."""
    evaluate(run, store, tmp_path)
    rows = pq.read_table(tmp_path / "predictions.parquet").to_pylist()
    assert not any(f"deviation_{name}" in rows[0] for name in TASKS if name != REGRESSION)
    opened, tasks = Store(store), tasks_of(run)
    network = checkpoint.load(run).cnn(World().device)
    everything = np.arange(len(opened.index.frame))
    given = predict_rows(network, tasks, opened, everything, small_recipe(), World())[f"{REGRESSION}:deviation"]
    assert (given > 0).all()
    names = opened.index.video(everything)
    of_frame = {(v, f): values for v, f, values in zip(names, opened.index.frame.tolist(), given, strict=True)}
    seen = [row for row in rows if row["seen"]]
    assert seen
    for row in seen:
        np.testing.assert_allclose(row[f"deviation_{REGRESSION}"], of_frame[row["video"], row["frame"]], rtol=1e-5)


def test_a_video_without_a_picture_has_no_deviation_and_no_part_in_the_calibration(store: Path, run: Path):
    """Zeros stand for its predictions, of which the network knows nothing."""
    trained = checkpoint.load(run)
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        evaluator = Evaluator(Store(store), tasks_of(run), split, small_recipe())
        found = evaluator.score(evaluator.predict(trained.cnn(World().device), World()))
        deviations = np.stack(found.table[f"deviation_{REGRESSION}"].to_pylist())
        np.testing.assert_array_equal(np.isnan(deviations).all(1), found.rows < 0)
        for name, of_task in calibrations(found.table, tasks_of(run), found.decisions, False).items():
            labelled = np.isfinite(np.stack(found.table[name].to_pylist())).any(1)
            assert len(of_task.group) == (labelled & (found.rows >= 0)).sum()
            assert of_task.num_left_out == (labelled & (found.rows < 0)).sum()


def test_deviations_are_smoothed_as_predictions_are(store: Path, run: Path):
    evaluator = Evaluator(Store(store), tasks_of(run), Split.VALIDATION, small_recipe())
    predicted = evaluator.predict(checkpoint.load(run).cnn(World().device), World())
    raw, smooth = (evaluator.score(predicted, smoothing=s) for s in (None, parse_smoothing("gaussian:50")))
    column = f"deviation_{REGRESSION}"
    of_raw, of_smooth = (np.stack(found.table[column].to_pylist()) for found in (raw, smooth))
    video = np.array(raw.table["video"].to_pylist()) == "video 2"
    assert np.ptp(of_smooth[video], axis=0).max() < 0.2 * np.ptp(of_raw[video], axis=0).max()


def test_parameters_are_of_one_part_and_scores_of_the_other(run: Path):
    """Whole videos are in either part."""
    given, tasks = drawn(), tasks_of(run)
    made = prediction_table(**given)
    decisions = fit_decisions(made, tasks)
    video = [f"{d}/video/{v}" for d, v in zip(given["database"], given["video"], strict=True)]
    names = sorted(set(video))
    first = np.isin(video, [name for name, is_first in zip(names, first_part(names), strict=True) if is_first])
    for name, found in calibrations(made, tasks, decisions, True).items():
        space = tasks[name].space
        labels, predictions = (given[of][name].astype(np.float32) for of in ("labels", "predictions"))
        deviations = given["deviations"].get(name)
        part = deviations[first] if deviations is not None else None
        expected = fit_calibration(space, labels[first], predictions[first], part)
        (key,) = expected
        assert decisions[name][key] == found.parameters[key] == pytest.approx(expected[key], rel=1e-5)
        rest = deviations[~first] if deviations is not None else None
        scores = calibration_scores(space, labels[~first], predictions[~first], rest, expected)
        numbers = found.to_dict()
        assert numbers["after"] == pytest.approx(scores.numbers(), rel=1e-4)
        assert (numbers["num_fit"], numbers["num_scored"]) == (first.sum(), (~first).sum())
        for loss in found.before.losses:
            assert numbers["after"][loss] < numbers["before"][loss]
            low, high = numbers["intervals"]["after"][loss]
            assert low < numbers["after"][loss] < high
        assert numbers["after"]["ece"] < 0.5 * numbers["before"]["ece"]
    assert decisions["action_units"].keys() == {"thresholds", "temperature"}


def test_scores_are_those_of_raw_predictions(run: Path):
    """Parameters in a decision change no answer and no score."""
    given = drawn()
    for name, task in tasks_of(run).items():
        labels, predictions = (given[of][name].astype(np.float32) for of in ("labels", "predictions"))
        fitted = dict(task.fit_decision(labels, predictions))
        with_parameters = fitted | {"temperature": [3.0], "error_scale": [3.0, 3.0]}
        assert task.score(labels, predictions, fitted) == task.score(labels, predictions, with_parameters)
        np.testing.assert_array_equal(*(task.answers(predictions, d) for d in (fitted, with_parameters)))


def test_another_split_is_scored_with_the_runs_parameters_on_all_its_frames(store: Path, run: Path, tmp_path: Path):
    trained = checkpoint.load(run)
    decisions = {"expression": {"temperature": [2.5]}, REGRESSION: {"error_scale": [2.0, 3.0]}}
    described = trained.description.model_copy(update={"decisions": decisions, "files": {}, "content_hash": ""})
    (tmp_path / "run").mkdir()
    network = trained.cnn(World().device)
    optimizer = torch.optim.Adam(network.parameters())
    checkpoint.save(tmp_path / "run", network, optimizer, trained.recipe, described)
    result = evaluate(tmp_path / "run", store, tmp_path / "results", Split.TRAIN)
    found = result["calibration"]
    assert found["expression"]["parameters"] == {"temperature": [2.5]}
    assert found[REGRESSION]["parameters"] == {"error_scale": [2.0, 3.0]}
    assert found["action_units"]["parameters"] == {}
    assert found["action_units"]["before"] == found["action_units"]["after"]
    for name, of_task in found.items():
        assert of_task["num_fit"] == 0
        num_labelled = result["scores"]["every_frame"]["all"][name]["num_frames"]
        assert of_task["num_scored"] == num_labelled - of_task["num_left_out"]


def test_decisions_of_an_evaluation_are_read_back_and_wrong_parameters_refused(store: Path, run: Path, tmp_path: Path):
    evaluate(run, store, tmp_path)
    trained = checkpoint.load(run)
    right = json.loads((tmp_path / "decisions.json").read_text())
    right["decisions"]["expression"] = {"temperature": [1.5]}
    right["decisions"][REGRESSION] = {"error_scale": [1.5, 0.5]}
    (tmp_path / "decisions.json").write_text(json.dumps(right))
    assert read_decisions(tmp_path, trained).decisions == right["decisions"]
    for name, wrong in (
        ("expression", {"temperature": [0.0]}),
        ("expression", {"error_scale": [1.0]}),
        (REGRESSION, {"error_scale": [1.0]}),
    ):
        changed = right | {"decisions": right["decisions"] | {name: wrong}}
        (tmp_path / "decisions.json").write_text(json.dumps(changed))
        with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))}.* of {name}"):
            read_decisions(tmp_path, trained)


def result_of(database: str) -> dict[str, Any]:
    """A result of three tasks with all their columns."""
    columns = {
        "expression": {"EXPR": "criterion", "F1": "macro_f1", "accuracy": "accuracy"},
        REGRESSION: {f"{title} {d}": f"{title}_{d}" for title in ("CCC", "RMSE") for d in ("V", "A")},
        "action_units": {"AU": "criterion", "AU F1": "macro_f1", "AU accuracy": "accuracy"},
    }
    scores = {name: dict.fromkeys(keys.values(), 0.512) for name, keys in columns.items()} | {"criterion": 1.0}
    around = {name: {key: [-0.481, 0.544] for key in keys.values()} for name, keys in columns.items()}
    both = {database: scores, "all": scores}
    intervals = dict.fromkeys(both, around | {"criterion": [0.9, 1.1]})
    numbers = {"nll": 1.2, "brier": 0.4, "ece": 0.1}
    of_task = {"parameters": {"temperature": [1.5]}, "num_scored": 12_345, "before": numbers, "after": numbers}
    return {
        "columns": columns,
        "scores": {"every_frame": both, "paper": both},
        "intervals": intervals,
        "calibration": {
            "expression": of_task,
            REGRESSION: of_task | {"parameters": {}, "before": {"nll": 1.0, "crps": 0.2, "ece": 0.1}},
        },
    }


@pytest.mark.parametrize("database", ["affwild2", "a_database_of_a_long_name"])
def test_tables_of_three_tasks_are_read_at_160_columns(database: str):
    """No number, heading or interval is cut off or broken."""
    result = result_of(database)
    console = Console(width=160)
    with console.capture() as captured:
        console.print(Group(table("a run", *score_rows(result)), table("", *calibration_rows(result))), markup=False)
    lines = captured.get().splitlines()
    assert max(len(line) for line in lines) <= 160
    text = "\n".join(lines)
    assert text.count("-0.48\u20130.54") == 20
    assert text.count("0.512") == 40
    assert "…" not in text
    (heading,) = [line for line in lines if "criterion" in line]
    assert all(name in heading for of_task in result["columns"].values() for name in of_task)
    assert "1.200 → 1.200" in text
    assert "temperature 1.50" in text
    assert "12,345" in text


def test_a_number_that_no_task_has_gets_no_column():
    result = result_of("a")
    del result["calibration"][REGRESSION]
    headings, rows = calibration_rows(result)
    assert headings == ["calibration of", "parameter", "frames", "NLL", "Brier", "ECE"]
    assert [len(row) for row in rows] == [6]


def test_only_the_headline_protocol_has_intervals():
    result = result_of("a")
    rows = {row[0]: row[1:] for row in score_rows(result)[1]}
    assert all("\u2013" in cell for cell in rows["a, every frame"])
    assert not any("\u2013" in cell for cell in rows["a, paper"])
    del result["intervals"]["a"]
    assert not any("\u2013" in cell for cell in score_rows(result)[1][0])


def test_one_video_is_scored_without_being_fitted(run: Path):
    """Nothing would be left to score."""
    given = drawn()
    of_one = {key: values for key, values in given.items() if key != "video"}
    made = prediction_table(**of_one, video=["v"] * (NUM_VIDEOS * LENGTH))
    made = made.filter([d == "a" for d in given["database"]])
    decisions = fit_decisions(made, tasks_of(run))
    assert all({"temperature", "error_scale"}.isdisjoint(decision) for decision in decisions.values())
    for found in calibrations(made, tasks_of(run), decisions, True).values():
        numbers = found.to_dict()
        assert numbers["parameters"] == numbers["intervals"] == {}
        assert (numbers["num_fit"], numbers["num_scored"]) == (0, len(made))
        assert numbers["before"] == numbers["after"]
        assert all(math.isfinite(value) for value in numbers["before"].values())
