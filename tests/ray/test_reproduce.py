"""The paper's tables on synthetic data: every row, nothing twice, tables that share their runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_loop import with_changes

from abaw_ray.config import load_recipe
from abaw_ray.errors import MissingInputError
from abaw_ray.reproduce import MODELS, TABLES, Plan, reproduce
from abaw_ray.training.resources import Resources
from abaw_ray.training.trainer import finished


def plan(name: str, out: Path, recipe) -> Plan:
    chosen = with_changes(recipe, sampling={"sets": ["mixed_expr", "mixed_va", "expr_va"]}, train={"epochs": 1})
    return Plan(name, out, chosen, Resources(1), "tiny")


def trained(out: Path) -> dict[str, int]:
    """Finished runs, and when each of them was."""
    return {file.parent.name: file.stat().st_mtime_ns for file in (out / "runs").glob("*/run.json")}


def test_tables_are_made_once_and_share_their_runs(cluster, recipe, tmp_path):
    result = reproduce(plan("table3", tmp_path, recipe), None, seeds=1)
    assert set(trained(tmp_path)) == {"teacher-0", "student-0", "gru-teacher-0", "gru-student-0"}
    assert "SYNTHETIC" in result.title
    rows = result.rows()
    assert [row[:2] for row in rows] == [
        [MODELS[name].title, frames] for name in TABLES["table3"] for frames in ("every frame", "paper's")
    ]
    assert rows[1][-4:-1] == ["0.555", "0.523", "0.543"]
    assert json.loads((tmp_path / "table3.json").read_text()) == result.values
    assert rows[0][2] in (tmp_path / "table3.md").read_text()
    for name in TABLES["table3"]:
        scores = json.loads((tmp_path / "evaluation" / f"{name}-0" / "scores.json").read_text())["scores"]
        for protocol in ("every_frame", "paper"):
            found = result.values["models"][name][0][protocol]
            assert found["EXPR"] == scores[protocol]["all"]["expression"]["criterion"]

    # table 2 would train these very jobs, so that it finds them finished
    for name in ("teacher", "student"):
        assert finished(plan("table2", tmp_path, recipe).job(name, 0)) is not None
    before = trained(tmp_path)
    again = reproduce(plan("table3", tmp_path, recipe), None, seeds=1)
    assert trained(tmp_path) == before
    assert again.rows() == rows


def test_rows_of_the_paper_differ_where_they_should(recipe, tmp_path):
    made = plan("table1", tmp_path, recipe)
    two, three = (made.job(name, 3) for name in TABLES["table1"])
    assert two.recipe.sampling.sets == ["mixed_expr", "mixed_va"]
    assert three.recipe.sampling.sets == ["mixed_expr", "mixed_va", "expr_va"]
    assert (two.recipe.seed, three.recipe.seed) == (3, 3)
    made = plan("table2", tmp_path, recipe)
    assert made.models == ("teacher", "student-not-shared", "student")
    plain, shared = (made.job(name, 3) for name in TABLES["table2"])
    assert (plain.recipe.loss.shared_annotations, shared.recipe.loss.shared_annotations) == (False, True)
    assert plain.teacher == shared.teacher == str(tmp_path / "runs" / "teacher-3")
    assert plain.recipe.seed == shared.recipe.seed != 3


@pytest.mark.parametrize("name", list(TABLES))
def test_every_table_has_its_recipe(name):
    recipe = load_recipe(f"paper/{name}")
    assert (recipe.loss.shared_weighting, recipe.loss.va_binning) == ("group_mean", "float32")
    assert (recipe.train.epochs, recipe.sampling.batch_size, recipe.temporal.batch_size) == (40, 64, 16)


def test_a_database_that_is_not_there_is_named(cluster, recipe, tmp_path):
    with pytest.raises(MissingInputError, match="expw"):
        reproduce(plan("table1", tmp_path / "out", recipe), tmp_path, seeds=1)
