"""Scores of whole videos, and of groups of frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import make_checkpoint
from paper import SPACES
from stores import make_store
from typer.testing import CliRunner

from abaw_ray.blocks.reader import Store
from abaw_ray.cli import app
from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.evaluation.clips import CLIPS, STREAMS, Parts, clip_table, score_parts
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.evaluation.evaluator import HEADLINE, Evaluation
from abaw_ray.evaluation.groups import names_in_space, names_of_streams
from abaw_ray.evaluation.predictions import prediction_table, score
from abaw_ray.tasks import build_tasks

EXPRESSION, VALUES = SPACES[0].name, SPACES[1].name
TASKS = build_tasks(SPACES[:2], LossConfig(), ModelConfig())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store")).path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint")


def frames(videos: list[str], classes: list[int | None], shown: list[int], database: str = "b") -> Any:
    """A table of frames: a video, a class (None: no label) and the predicted class of each, half sure of it."""
    one_hot = np.eye(7, dtype=np.float32)
    labels = np.stack([np.full(7, np.nan) if k is None else one_hot[k] for k in classes])
    values = np.linspace(-1, 1, 2 * len(videos)).reshape(-1, 2)
    return prediction_table(
        spaces=SPACES[:2],
        database=[database] * len(videos),
        video=videos,
        frame=np.arange(len(videos), dtype=np.int32),
        seen=np.ones(len(videos), bool),
        labels={EXPRESSION: labels, VALUES: values},
        predictions={EXPRESSION: (one_hot[shown] + 1 / 7) / 2, VALUES: values},
    )


def test_a_video_is_the_mean_of_its_labelled_frames() -> None:
    table = frames(["x", "y", "x", "x", "y", "z"], [1, 2, 1, None, 3, 0], [1, 2, 4, 0, 3, 5])
    clips = {row["video"]: row for row in clip_table(table, TASKS).to_pylist()}
    expected = np.full(7, 1 / 14)
    expected[[1, 4]] += 1 / 4
    np.testing.assert_allclose(clips["x"][f"predicted_{EXPRESSION}"], expected, rtol=1e-6)
    np.testing.assert_array_equal(clips["x"][EXPRESSION], np.eye(7)[1])
    assert np.isnan(clips["y"][EXPRESSION]).all(), "a label that changes is none of the video"
    assert np.isnan(clips["x"][VALUES]).all()
    np.testing.assert_array_equal(clips["z"][VALUES], table[VALUES].to_pylist()[5])


def test_videos_count_once_whatever_their_length() -> None:
    """Nine wrong frames of one video and one right one of another: a tenth of the frames, half of the videos."""
    table = frames(["long"] * 9 + ["short"], [1] * 9 + [2], [0] * 9 + [2])
    of_frames, of_clips = (score(t, TASKS, {})[EXPRESSION] for t in (table, clip_table(table, TASKS)))
    assert (of_frames["accuracy"], of_clips["accuracy"]) == (0.1, 0.5)


def test_groups_are_scored_by_themselves(store: Path, run: Path, tmp_path: Path) -> None:
    result = evaluate(run, store, tmp_path, parts=Parts(by=(EXPRESSION, STREAMS)))
    assert json.loads((tmp_path / "scores.json").read_text())["by"] == result["by"]
    by = result["by"][EXPRESSION]
    assert by["num_unknown"] + sum(g["num_frames"] for g in by["groups"].values()) == result["num_frames"]
    assert set(by["groups"]) <= set(SPACES[0].names)
    ((streams, group),) = result["by"][STREAMS]["groups"].items()
    assert streams == "face"
    without = result["num_frames"] - result["by"][STREAMS]["num_unknown"]
    assert group["num_frames"] == without
    plain = evaluate(run, store, tmp_path / "plain")
    assert plain.keys() == result.keys() - {"by"}
    assert plain["scores"] == result["scores"]


def test_rows_without_a_label_are_of_no_group(store: Path) -> None:
    opened = Store(store)
    rows = np.array([-1, *range(len(opened.index))])
    names = names_in_space(opened, EXPRESSION, rows)
    has_label = np.array([-1, *range(len(opened.index))])[[name is not None for name in names]]
    assert has_label.tolist() == opened.labels(EXPRESSION).labels.rows.tolist()
    assert names_of_streams(opened, ["face"], rows) == [None, *["face"] * len(opened.index)]


def test_videos_of_changing_labels_cannot_be_scored_whole(store: Path) -> None:
    table = frames(["x", "x"], [0, 1], [0, 1])
    evaluation = Evaluation(table, np.array([8, 9]), {}, {})
    only = {EXPRESSION: TASKS[EXPRESSION]}
    with pytest.raises(StoreError, match="no video has one label"):
        score_parts(evaluation, Store(store), only, ["face"], Parts(clips=True))
    same = Evaluation(frames(["x", "x"], [1, 1], [1, 2]), np.array([8, 9]), {}, {})
    of_clips, by = score_parts(same, Store(store), only, ["face"], Parts(True, (STREAMS,)))
    assert of_clips["all"][EXPRESSION]["accuracy"] == 1
    group = by[STREAMS]["groups"]["face"]
    assert (group["num_frames"], group["num_clips"]) == (2, 1)
    assert group["scores"][HEADLINE][EXPRESSION]["accuracy"] == 0.5
    assert group["scores"][CLIPS] == of_clips["all"]


def test_the_command_prints_groups_and_refuses_others(
    store: Path, run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", str(run), "--store", str(store), "--out", str(tmp_path), "--set", "train.precision=float32"]
    assert CliRunner().invoke(app, [*command, "--by", EXPRESSION]).exit_code == 0
    printed = capfd.readouterr().out
    assert f"by {EXPRESSION}" in printed
    assert f"{SPACES[0].names[0]}, every frame" in printed
    result = CliRunner().invoke(app, [*command, "--by", "language"])
    assert isinstance(result.exception, ConfigurationError)
    assert "expected any of streams, expression" in str(result.exception)
