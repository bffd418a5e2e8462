"""The paper's tables and the demo on synthetic data: every row, nothing twice, what shares its runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_loop import with_changes

from abaw_ray.config import load_recipe
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.paper.demo import run_demo
from abaw_ray.paper.reproduce import MODELS, TABLES, Plan, reproduce
from abaw_ray.training.resources import Resources
from abaw_ray.training.trainer import finished


def plan(name: str, out: Path, recipe) -> Plan:
    chosen = with_changes(recipe, sampling={"sets": ["mixed_expr", "mixed_va", "expr_va"]}, train={"epochs": 1})
    return Plan(name, out, chosen, Resources(1), "tiny")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the tests here share."""
    return tmp_path_factory.mktemp("pipelines")


def trained(out: Path) -> dict[str, int]:
    """Finished runs, and when each of them was."""
    return {file.parent.name: file.stat().st_mtime_ns for file in (out / "runs").glob("*/run.json")}


@pytest.mark.slow
def test_tables_are_made_once_and_share_their_runs(cluster, recipe, out):
    result = reproduce(plan("table3", out, recipe), None, seeds=1)
    assert set(trained(out)) == {"teacher-0", "student-0", "gru-teacher-0", "gru-student-0"}
    assert "SYNTHETIC" in result.title
    rows = result.rows()
    assert [row[:2] for row in rows] == [
        [MODELS[name].title, frames] for name in TABLES["table3"] for frames in ("every frame", "paper's")
    ]
    assert rows[1][-4:-1] == ["0.555", "0.523", "0.543"]
    assert json.loads((out / "table3.json").read_text()) == result.values
    assert rows[0][2] in (out / "table3.md").read_text()
    page = (out / "table3.html").read_text()
    assert all(f"<h2>{name}-0" in page for name in ("teacher", "student", "gru-teacher", "gru-student"))
    assert rows[0][2] in page
    assert "Synthetic data" in page
    for name in TABLES["table3"]:
        scores = json.loads((out / "evaluation" / f"{name}-0" / "scores.json").read_text())["scores"]
        for protocol in ("every_frame", "paper"):
            found = result.values["models"][name][0][protocol]
            assert found["EXPR"] == scores[protocol]["all"]["expression"]["criterion"]

    # table 2 would train these very jobs, so that it finds them finished
    for name in ("teacher", "student"):
        assert finished(plan("table2", out, recipe).job(name, 0)) is not None
    before = trained(out)
    again = reproduce(plan("table3", out, recipe), None, seeds=1)
    assert trained(out) == before
    assert again.rows() == rows


def test_the_demo_gives_scores_of_all_models_and_does_nothing_twice(cluster, recipe, out):
    before = trained(out)
    small = plan("table2", out, recipe).recipe
    result = run_demo(out, "tiny", 1, small, workers=1)
    assert {name: trained(out)[name] for name in before} == before, "the teacher and the student were there"
    assert list(result.values["models"]) == ["teacher", "student without distillation", "student"]
    for runs in result.values["models"].values():
        assert set(runs[0]["scores"]) == {"expression", "valence_arousal", "criterion"}
    students = [result.values["models"][m][0]["scores"] for m in ("student without distillation", "student")]
    assert students[0] != students[1]
    assert json.loads((out / "results.json").read_text()) == result.values
    assert result.table().row_count == 4
    page = (out / "report.html").read_text()
    assert result.values["report"] == str(out / "report.html")
    assert "student-0 <span class='against'>against</span> student-without-distillation-0" in page
    assert "Synthetic data" in page

    written = {p: p.stat().st_mtime_ns for p in (out / "runs").rglob("*") if p.is_file()}
    assert run_demo(out, "tiny", 1, small, workers=1).values["models"] == result.values["models"]
    assert {p: p.stat().st_mtime_ns for p in (out / "runs").rglob("*") if p.is_file()} == written
    with pytest.raises(ConfigurationError, match="finished run"):
        run_demo(out, "tiny", 1, recipe, workers=1)


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
    assert plain.teachers == shared.teachers == (str(tmp_path / "runs" / "teacher-3"),)
    assert plain.recipe.seed == shared.recipe.seed != 3


@pytest.mark.parametrize("name", list(TABLES))
def test_every_table_has_its_recipe(name):
    recipe = load_recipe(f"paper/{name}")
    assert (recipe.loss.shared_weighting, recipe.loss.va_binning) == ("group_mean", "float32")
    assert (recipe.train.epochs, recipe.sampling.batch_size, recipe.temporal.batch_size) == (40, 64, 16)


def test_a_database_that_is_not_there_is_named(cluster, recipe, tmp_path):
    with pytest.raises(MissingInputError, match="expw"):
        reproduce(plan("table1", tmp_path / "out", recipe), tmp_path, seeds=1)
