"""The whole way on synthetic databases."""

from __future__ import annotations

import json

import pytest

from abaw_ray.demo import run_demo
from abaw_ray.errors import ConfigurationError


def test_the_demo_gives_scores_of_all_models_and_does_nothing_twice(cluster, recipe, tmp_path):
    sets = recipe.sampling.model_copy(update={"sets": ["mixed_expr", "mixed_va", "expr_va"]})
    small = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 1}), "sampling": sets})
    result = run_demo(tmp_path, "tiny", 1, small, workers=1)
    assert list(result.values["models"]) == ["teacher", "student without distillation", "student"]
    for runs in result.values["models"].values():
        assert set(runs[0]["scores"]) == {"expression", "valence_arousal", "criterion"}
    students = [result.values["models"][m][0]["scores"] for m in ("student without distillation", "student")]
    assert students[0] != students[1]
    assert json.loads((tmp_path / "results.json").read_text()) == result.values
    assert result.table().row_count == 4

    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("*") if p.is_file()}
    assert run_demo(tmp_path, "tiny", 1, small, workers=1).values["models"] == result.values["models"]
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("*") if p.is_file()} == written
    with pytest.raises(ConfigurationError, match="finished run"):
        run_demo(tmp_path, "tiny", 1, recipe, workers=1)
