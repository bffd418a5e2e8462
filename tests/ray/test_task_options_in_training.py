"""A run with options of its tasks: plain numbers, and a task that selects no model."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_loop import run, with_changes
from test_own_database import moods  # noqa: F401, a fixture

from abaw_ray.config import Recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.evaluation.evaluate import evaluate
from abaw_ray.evaluation.score_tables import score_rows
from abaw_ray.preprocess.prepare import prepare
from abaw_ray.training.stage import Job


def test_plain_numbers_are_learned_beside_a_nuisance_task(
    cluster,
    moods: Path,  # noqa: F811
    recipe: Recipe,
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    prepare(recipe, store, {"moods": {"root": moods}})
    longer = with_changes(recipe, sampling={"steps_per_epoch": 30}, train={"epochs": 4, "learning_rate": 0.003})
    options = {
        "energy": {"form": "plain", "loss": "mse"},
        "mood": {"role": "nuisance", "head": {"kind": "reversal", "strength": 0.1}},
    }
    run(Job(longer.model_copy(update={"tasks": options}), str(store), str(tmp_path / "run")), tmp_path / "kept")
    result = evaluate(tmp_path / "kept" / "3", store, tmp_path / "scores")
    scores = result["scores"]["every_frame"]["moods"]
    assert scores["criterion"] == scores["energy"]["ccc_energy"] > 0.5, (
        "brightness tells the energy; the mood counts not"
    )
    assert 0 < scores["energy"]["mae_energy"] < result["chance"]["energy"]["mae_energy"]
    assert {"mood F1", "MAE energy"} <= set(score_rows(result)[0])
    unknown = longer.model_copy(update={"tasks": {"moods": {}}})
    with pytest.raises(ConfigurationError, match="tasks: moods not among the tasks: mood, energy"):
        run(Job(unknown, str(store), str(tmp_path / "other")), tmp_path / "none")
