"""The experiment on uncertainty as it is run, on generated (synthetic) faces."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from abaw_ray.config import load_recipe
from abaw_ray.experiments import uncertainty
from abaw_ray.experiments.base import Plan
from abaw_ray.experiments.uncertainty import COLUMNS, EXPERIMENT, TASKS
from abaw_ray.training.resources import Resources


@pytest.mark.slow
def test_it_is_run_to_the_end_and_what_is_finished_is_not_done_again(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(uncertainty, "NUM_STUDENTS", 1)
    small = ["train.epochs=1", "optim.warmup_epochs=0", "sampling.batch_size=16", "train.precision=float32"]
    recipe = load_recipe(None, small, load_recipe(EXPERIMENT.recipe_for(None)))
    plan = Plan("uncertainty", tmp_path, recipe, Resources(1), seeds=2, size="tiny")
    found = EXPERIMENT.compare(plan)
    assert len(found.rows) == 6 * len(TASKS)
    assert all(len(row) == len(COLUMNS) for row in found.rows)
    text = (tmp_path / "uncertainty.md").read_text()
    assert "SYNTHETIC faces (tiny)" in text
    assert "derived" in text
    values = json.loads((tmp_path / "uncertainty.json").read_text())
    assert values["synthetic"]
    assert len(values["mc_dropout"]) == 2

    def written() -> dict[Path, int]:
        files = [file for name in ("run.json", "scores.json") for file in tmp_path.rglob(name)]
        files += (tmp_path / "generations").rglob("*.arrow")
        return {file: file.stat().st_mtime_ns for file in files}

    before = written()
    assert replace(EXPERIMENT.compare(plan), values={}) == replace(found, values={})
    assert written() == before
