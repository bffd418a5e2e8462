"""The command, as a user types it: every stage, its JSON, its exit status."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from checkpoints import make_checkpoint

from abaw_ray.cli import main
from abaw_ray.config import Recipe, dump_recipe

TIMEOUT = 1200

RAYS_OWN_LINES = re.compile(r"authentication|PYTHON worker processes|\((raylet|autoscaler|\w+ pid=\d+)", re.IGNORECASE)


def command(*arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs `python -m abaw_ray`, checks its exit status, and that it says nothing that Ray has to say."""
    line = [sys.executable, "-m", "abaw_ray", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == status, done.stderr
    assert not RAYS_OWN_LINES.search(done.stderr), done.stderr
    return done


def results(*arguments: str | Path) -> dict[str, Any]:
    """The one JSON object that a command prints on stdout."""
    return json.loads(command(*arguments, "--json").stdout)


@pytest.fixture(scope="module")
def recipe_file(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(dump_recipe(recipe))
    return path


@pytest.fixture(scope="module")
def teacher(store: Path, recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher's run, by two workers."""
    run = tmp_path_factory.mktemp("runs") / "teacher"
    made = results("train", "--store", store, "--recipe", recipe_file, "--workers", "2", "--out", run)
    assert (made["role"], made["num_epochs"], made["num_steps"]) == ("teacher", 2, 8)
    return run


def test_train_distill_evaluate_with_two_workers(store, recipe_file, teacher, tmp_path):
    common = ["--store", store, "--recipe", recipe_file, "--workers", "2"]
    student = results("distill", *common, "--teacher", teacher, "--out", tmp_path / "student", "--report")
    assert (student["role"], student["teachers"]) == ("student", [str(teacher)])
    page = Path(student["report"])
    assert page == tmp_path / "student" / "report.html"
    assert "student <span class='against'>against</span> teacher" in page.read_text()
    for run in (teacher, tmp_path / "student"):
        assert list((run / f"{run.name}-cnn").glob("events*"))
        lines = (run / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == [0, 1]
    out = tmp_path / "results"
    scores = results("evaluate", tmp_path / "student", "--store", store, "--out", out)
    assert set(scores["scores"]) == {"every_frame", "paper"}
    assert scores["scores"]["every_frame"]["all"]["criterion"] == pytest.approx(student["best_criterion"], abs=1e-4)
    assert json.loads((out / "scores.json").read_text()) == scores
    assert pq.read_table(out / "predictions.parquet").num_rows == scores["num_frames"]
    for figure in ("expression_confusion.png", "valence_arousal.png"):
        assert (out / figure).read_bytes().startswith(b"\x89PNG")
    again = command("train", *common, "--out", teacher, status=2)
    assert "finished run" in again.stderr


@pytest.mark.slow
def test_from_a_cnn_to_a_checked_submission(store, databases, recipe_file, teacher, tmp_path):
    gru, features, entry = (tmp_path / name for name in ("gru", "features", "entry"))
    common = ["--store", store, "--recipe", recipe_file]
    made = results("features", "--run", teacher, "--store", store, "--out", features, "--variants", "1")
    assert (made["num_frames"], made["all_variants"]) == (made["num_features"], False)
    temporal = ["--temporal", "--features", features]
    made = results("train", *common, *temporal, "--out", gru)
    assert (made["kind"], made["role"], made["num_epochs"]) == ("temporal", "teacher", 2)
    forgotten = command("train", *common, "--features", features, "--out", tmp_path / "run", status=2)
    assert "--temporal with either --features or --cnn" in forgotten.stderr
    written = results("predict-set", "--run", gru, "--store", store, "--out", entry, "--smooth", "median:3")
    videos = databases / "affwild2" / "videos"
    checked = results("check-submission", entry, "--videos", videos)
    assert checked["ok"]
    assert checked["num_frames"] == {task: counts["num_frames"] for task, counts in written["tasks"].items()}
    file = min((entry / "EXPR_Set").iterdir())
    file.write_text(file.read_text() + "\n3")
    assert f"{file}: found" in command("check-submission", entry, "--videos", videos, status=2).stdout


@pytest.mark.slow
def test_from_two_cnns_to_scores(store, recipe, recipe_file, teacher, tmp_path):
    other = recipe.model_copy(update={"model": recipe.model.model_copy(update={"head_features": 24})})
    second = make_checkpoint(tmp_path / "second", recipe=other, size=32)
    caches = [tmp_path / "of-teacher", tmp_path / "of-second"]
    for cnn, cache in zip((teacher, second), caches, strict=True):
        results("features", "--run", cnn, "--store", store, "--out", cache, "--variants", "1")
    given = [argument for cache in caches for argument in ("--features", cache)]
    trained = ["train", "--store", store, "--recipe", recipe_file, "--temporal", *given, "--workers", "2"]
    made = results(*trained, "--out", tmp_path / "gru", "--report")
    assert made["features"] == [str(cache) for cache in caches]
    evaluated = ["evaluate", tmp_path / "gru", "--store", store, "--out", tmp_path / "scores"]
    found = results(*evaluated, *given)["scores"]["every_frame"]["all"]["criterion"]
    assert found == pytest.approx(made["best_criterion"], abs=1e-4)
    refused = command(*evaluated, *given[2:], *given[:2], status=2).stderr
    assert f"--features: found {caches[1]} of the CNN" in " ".join(refused.split())


def test_more_workers_than_cpus_are_refused(store, recipe_file, tmp_path):
    options = ["--store", store, "--recipe", recipe_file, "--out", tmp_path / "run", "--cpus-per-worker", "1000"]
    assert "1 workers need 1000 CPUs" in command("train", *options, status=2).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inspect", "nodatabase", "."], "unknown database 'nodatabase'"),
        (["inspect", "expw", "no-such-folder"], "no-such-folder"),
        (["prepare", "out", "--database", "expw"], "NAME=ROOT"),
        (["prepare", "out"], "--database"),
        (["train", "--store", "no-such-store", "--out", "run"], "no-such-store"),
        (["train", "--store", "s", "--out", "r", "--set", "train.epoch=1"], "train.epoch"),
        (["evaluate", "no-such-run", "--store", "s", "--out", "o"], "no-such-run"),
        (["train", "--store", "s"], "--out"),
    ],
)
def test_wrong_use_ends_with_status_2_and_a_message(arguments, said, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    out, err = typed(monkeypatch, capfd, arguments, status=2)
    assert said in err
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--store", "s", "--out", "r", "--set", "temporal.window=8"], "temporal.window changes nothing"),
        (["evaluate", "r", "--store", "s", "--out", "o", "--set", "train.epochs=9"], "train.epochs changes nothing"),
        (["tune", "--space", "distillation", "--store", "s", "--out", "o"], "loss.temperature changes nothing"),
    ],
)
def test_settings_that_a_command_does_not_use_are_said(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in command(*arguments, status=2).stderr


def typed(monkeypatch, capfd, arguments: list[str], status: int) -> tuple[str, str]:
    """What a command that ends before any Ray starts prints, run in this process."""
    monkeypatch.setattr(sys, "argv", ["abaw-ray", *arguments])
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capfd.readouterr()
    assert (ended.value.code or 0) == status, printed.err
    return printed.out, printed.err


def test_a_wrong_format_names_file_line_and_what_was_expected(databases, tmp_path):
    folder = tmp_path / "expw"
    (folder / "image").mkdir(parents=True)
    lines = (databases / "expw" / "label.lst").read_text().splitlines()
    (folder / "label.lst").write_text("\n".join([lines[0], "photo.jpg 0 1 2 3"]) + "\n")
    done = command("inspect", "expw", folder, status=2)
    assert "label.lst:2: found" in done.stderr
    assert "expected" in done.stderr


@pytest.mark.parametrize("verb", ["generate", "inspect", "prepare", "train", "distill", "evaluate", "demo"])
def test_help_has_an_example(verb, monkeypatch, capfd):
    assert f"abaw-ray {verb}" in typed(monkeypatch, capfd, [verb, "--help"], status=0)[0]
