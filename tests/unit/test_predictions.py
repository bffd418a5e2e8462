"""The table of predictions and its scores: by database, by video, with labels or predictions missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from paper import SPACES, TASKS
from stores import make_store

from abaw_ray.blocks.reader import Store
from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.errors import DivergedError, StoreError
from abaw_ray.evaluation.fitting import fit_decisions
from abaw_ray.evaluation.predictions import (
    pairs,
    prediction_table,
    score_predictions,
    video_scores,
    write_predictions,
)
from abaw_ray.inference.predict import require_numbers
from abaw_ray.tasks import build_tasks
from abaw_ray.tasks.metrics import ccc

TASK_OBJECTS = build_tasks(SPACES, LossConfig(), ModelConfig())
NUM_FRAMES = 400


def columns(seed: int = 0) -> dict[str, object]:
    """Two databases: `a` has expressions for two frames in three and action units for one in two, `b` only VA."""
    rng = np.random.default_rng(seed)
    number = np.arange(NUM_FRAMES)
    database = np.where(number < NUM_FRAMES // 2, "b", "a")
    expression = np.eye(7)[rng.integers(0, 7, NUM_FRAMES)]
    expression[(database == "b") | (number % 3 == 0)] = np.nan
    units = (rng.random((NUM_FRAMES, 12)) < 0.3).astype(float)
    units[(database == "b") | (number % 2 == 0)] = np.nan
    va = rng.uniform(-1, 1, (NUM_FRAMES, 2))
    predicted_va = np.clip(0.6 * va + rng.normal(0, 0.2, va.shape), -1, 1)
    va[::7] = np.nan
    return {
        "database": database.tolist(),
        "video": [f"v{i // 10}" for i in range(NUM_FRAMES)],
        "frame": number % 10,
        "seen": number % 5 > 0,
        "labels": {"expression": expression, "valence_arousal": va, "action_units": units},
        "predictions": {
            "expression": rng.dirichlet(np.ones(7), NUM_FRAMES),
            "valence_arousal": predicted_va,
            "action_units": rng.random((NUM_FRAMES, 12)),
        },
    }


def table(**changes: object) -> pa.Table:
    return prediction_table(spaces=SPACES, **columns() | changes)


def scores_of(made: pa.Table) -> dict:
    return score_predictions(made, TASK_OBJECTS, fit_decisions(made, TASK_OBJECTS))


def test_a_table_holds_what_it_is_given_after_writing_and_reading(tmp_path: Path):
    given = columns()
    write_predictions(table(), tmp_path / "p.parquet")
    read = pq.read_table(tmp_path / "p.parquet")
    assert read.schema.equals(table().schema)
    for name in ("database", "video", "frame", "seen"):
        assert read[name].to_pylist() == list(given[name])
    for kind, prefix in (("labels", ""), ("predictions", "predicted_")):
        for task, values in given[kind].items():
            np.testing.assert_allclose(np.stack(read[f"{prefix}{task}"].to_pylist()), values, atol=1e-6)
    names = pq.read_schema(tmp_path / "p.parquet").field("valence_arousal").metadata[b"names"]
    assert names == b"valence,arousal"


def test_scores_by_database_and_pooled():
    given, scores = columns(), scores_of(table())
    assert list(scores) == ["a", "b", "all"]
    assert set(scores["b"]) == {"valence_arousal", "criterion"}
    labels, predictions = given["labels"], given["predictions"]
    labelled = np.isfinite(labels["expression"][:, 0])
    classes = (v[labelled].argmax(1) for v in (labels["expression"], predictions["expression"]))
    assert scores["all"]["expression"] == TASK_OBJECTS["expression"].score(*(np.eye(7)[c] for c in classes), {})
    assert scores["a"]["expression"] == scores["all"]["expression"]
    labelled = np.isfinite(labels["valence_arousal"][:, 0])
    assert scores["all"]["valence_arousal"]["num_frames"] == labelled.sum()
    assert scores["all"]["valence_arousal"]["ccc_valence"] == pytest.approx(
        ccc(labels["valence_arousal"][labelled, 0], predictions["valence_arousal"][labelled, 0]), abs=1e-6
    )


def test_the_criterion_adds_the_tasks_that_are_there():
    for part in scores_of(table()).values():
        expected = part["valence_arousal"]["ccc_valence"] + part["valence_arousal"]["ccc_arousal"]
        for task in ("expression", "action_units"):
            expected += part.get(task, {}).get("criterion", 0.0)
        assert part["criterion"] == pytest.approx(expected)


def test_scores_are_json():
    scores = scores_of(table())
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_one_database_is_scored_by_itself_and_pooled():
    scores = scores_of(table().slice(NUM_FRAMES // 2))
    assert list(scores) == ["a", "all"]
    assert scores["a"] == scores["all"]


def test_frames_that_a_network_gives_no_number_for_are_refused_by_name(tmp_path: Path):
    made = make_store(tmp_path)
    opened, rows = Store(made.path), np.array([9, 3, 22, 24])
    values = {"valence_arousal": np.zeros((4, 2), np.float32), "expression": np.ones((4, 7), np.float32)}
    require_numbers("predictions", values, rows, opened)
    values["expression"][1:3, 5] = np.nan, np.inf
    with pytest.raises(DivergedError, match=r"expression: 2 of 4 predictions .* first of a, video video 0, frame 3:"):
        require_numbers("predictions", values, rows, opened)


def test_nothing_to_score_is_an_error():
    nothing = {task: np.full((NUM_FRAMES, size), np.nan) for task, size in TASKS.items()}
    with pytest.raises(StoreError, match="400 frames"):
        scores_of(table(labels=nothing))


def test_scores_by_video_are_those_of_the_video_alone():
    made = table()
    decisions = fit_decisions(made, TASK_OBJECTS)
    videos = video_scores(made, TASK_OBJECTS, decisions).to_pylist()
    assert [(v["database"], v["video"], v["num_frames"]) for v in videos[:2]] == [("b", "v0", 10), ("b", "v1", 10)]
    assert len(videos) == NUM_FRAMES // 10
    assert videos[0]["EXPR"] is None
    last = made.slice(NUM_FRAMES - 10)
    true, predicted = pairs(last, "valence_arousal")
    assert videos[-1]["CCC V"] == pytest.approx(ccc(true[:, 0], predicted[:, 0]))
    alone = score_predictions(last, TASK_OBJECTS, decisions)["all"]
    assert videos[-1]["AU F1"] == alone["action_units"]["macro_f1"]
