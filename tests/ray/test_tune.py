"""A sweep as a user runs it: interrupted, resumed, reported."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from test_command import TIMEOUT, results
from test_loop import run, with_changes

from abaw_ray.config import Recipe, dump_recipe, load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources
from abaw_ray.tuning.spaces import load_space
from abaw_ray.tuning.sweep import Plan, run_sweep

EPOCHS = 3

SPACE = """
from ray import tune

def space():
    # a network that learns, and one that says the same of every picture
    return {"train.learning_rate": tune.choice([1e-3, 3.0]), "loss.temperature": 2.0}
"""


def records(out: Path) -> dict[str, dict[str, Any]]:
    return {file.stem: json.loads(file.read_text()) for file in (out / "trials").glob("*.json")}


def epochs(out: Path, name: str) -> list[int]:
    lines = (out / "trials" / name / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["epoch"] for line in lines]


@pytest.fixture(scope="module")
def options(store: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Of a sweep over students of a short run."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "space.py").write_text(SPACE)
    (folder / "small.yaml").write_text(dump_recipe(recipe))
    common = ["--store", str(store), "--recipe", str(folder / "small.yaml")]
    run(Job(with_changes(recipe, train={"epochs": 1}), str(store), str(folder / "run")), folder)
    sweep = ["--space", str(folder / "space.py"), "--teacher", str(folder / "0"), "--trials", "3"]
    return [*common, *sweep, "--set", f"train.epochs={EPOCHS}", "--set", "augment.views=2", "--set", "seed=11"]


@pytest.mark.slow
def test_a_sweep_is_interrupted_resumed_and_reported(options, tmp_path):
    out = tmp_path / "sweep"
    line = [sys.executable, "-m", "abaw_ray", "tune", *options, "--out", str(out)]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + TIMEOUT
        while not any("status" in record for record in records(out).values()):
            assert process.poll() is None, "it ended before it could be interrupted"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130, said
    assert "--resume goes on" in said
    before = records(out)
    ended = {name: epochs(out, name) for name, record in before.items() if "status" in record}
    assert ended
    assert (out / "report.html").is_file()

    sweep = results("tune", *options, "--out", out, "--resume")
    after = records(out)
    assert len(after) == 3
    assert {name: after[name]["parameters"] for name in before} == {n: r["parameters"] for n, r in before.items()}
    assert {name: epochs(out, name) for name in ended} == ended, "what had ended was not trained again"
    by_rate = {record["parameters"]["train.learning_rate"]: record["status"] for record in after.values()}
    assert by_rate == {1e-3: "finished", 3.0: "stopped"}
    assert sweep["num_epochs"] == sum(len(epochs(out, name)) for name in after) < sweep["num_grid_epochs"] == 9

    best = after[sweep["best"]]["parameters"]
    assert best["train.learning_rate"] == 1e-3
    again = load_recipe(str(out / "best.yaml"))
    assert (again.train.learning_rate, again.loss.temperature, again.augment.views) == (1e-3, 2.0, 2)
    assert set(sweep["retrained"]) == {"12", "13", "14"}
    assert len(set(sweep["retrained"].values())) == 3
    for seed, criterion in sweep["retrained"].items():
        run = json.loads((out / "retrained" / f"{sweep['best']}-seed-{seed}" / "run.json").read_text())
        assert run["best_criterion"] == criterion
    assert f"{max(sweep['retrained'].values()):.4f}" in (out / "report.html").read_text()
    assert list((out / "hparams").rglob("events*"))


@pytest.mark.slow
def test_a_finished_sweep_takes_more_trials(options, tmp_path):
    out = tmp_path / "sweep"
    results("tune", *options, "--out", out)
    after = records(out)
    sweep = results("tune", *options, "--out", out, "--resume", "--trials", "5")
    with_more = records(out)
    assert len(with_more) == 5
    assert {name: with_more[name] for name in after} == after, "what had ended was not trained again"
    assert {record["status"] for record in with_more.values()} <= {"finished", "stopped"}
    assert sweep["num_grid_epochs"] == 5 * EPOCHS


def plan(store: Path, recipe: Recipe, out: Path, **changes: Any) -> Plan:
    """A sweep of teachers."""
    job = Job(recipe, str(store), "")
    given = {"space": load_space("distillation"), "space_name": "distillation", "num_trials": 3, **changes}
    return Plan(out, job, resources=Resources(1), **given)


def test_trials_that_diverge_have_failed_and_the_sweep_goes_on_to_the_next(store, recipe, tmp_path, capfd):
    out = tmp_path / "sweep"
    space = {"train.learning_rate": tune.choice([1e30])}
    with pytest.raises(ConfigurationError, match="no trial of 2 went through an epoch; the first failed: training div"):
        run_sweep(plan(store, recipe, out, space=space, num_trials=2))
    after = records(out)
    assert [record["status"] for record in after.values()] == ["failed", "failed"]
    said = capfd.readouterr().err
    for name, record in after.items():
        assert re.match(r"training diverged in epoch 1, step [2-4]: .*learning rate 1e\+30", record["error"])
        assert said.count(f"trial {name}: failed: training diverged") == 1
    assert "Traceback" not in said


def test_sweeps_that_cannot_run_are_refused_before_anything_starts(store, recipe, tmp_path):
    out = tmp_path / "sweep"
    with pytest.raises(ConfigurationError, match="mixed_colours"):
        run_sweep(plan(store, with_changes(recipe, sampling={"sets": ["mixed_colours"]}), out))
    with pytest.raises(ConfigurationError, match=r"loss\.temprature"):
        run_sweep(plan(store, recipe, out, space={"loss.temprature": tune.uniform(1, 2)}))
    assert not out.exists()
    out.mkdir()
    (out / "thesis.tex").touch()
    with pytest.raises(ConfigurationError, match="not a sweep"):
        run_sweep(plan(store, recipe, out), fresh=True)


def test_a_sweep_in_the_folder_is_neither_mixed_nor_lost(store, recipe, tmp_path):
    before = plan(store, recipe, tmp_path)
    (tmp_path / "sweep.json").write_text(json.dumps(before.settings()))
    with pytest.raises(ConfigurationError, match="--resume to go on"):
        run_sweep(before)
    with pytest.raises(ConfigurationError, match="differs in scheduler, search"):
        run_sweep(plan(store, recipe, tmp_path, scheduler="none", search="optuna"), resume=True)
    with pytest.raises(ConfigurationError, match="sweep of 3 trials; found --trials 2, expected as many or more"):
        run_sweep(plan(store, recipe, tmp_path, num_trials=2), resume=True)
