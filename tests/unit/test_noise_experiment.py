"""What `reproduce noise` trains, row by row, and its table. Labels are random, and single steps are taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import make_checkpoint
from learners import learner_of, training_recipe
from stores import make_store, set_labels

from abaw_ray.blocks.files import write_json
from abaw_ray.config import change_recipe, load_recipe
from abaw_ray.experiments import EXPERIMENTS
from abaw_ray.experiments.base import Plan
from abaw_ray.experiments.noise import (
    RATES,
    annotators_of,
    comparison,
    job_of,
    tasks_of,
    trial_of,
    with_annotators,
)
from abaw_ray.experiments.noise_ways import EXPRESSION, VALENCE_AROUSAL, WAYS, changed
from abaw_ray.training.resources import Resources
from abaw_ray.world import World

TASKS = (EXPRESSION, VALENCE_AROUSAL)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan("noise", tmp_path, load_recipe("demo"), Resources(1), size="tiny")


def job(plan: Plan, way: str, rate: str, seed: int = 0):
    trial = trial_of(way, rate)
    for teacher in trial.teachers:
        write_json(plan.out / "runs" / f"{teacher.name}-{seed}" / "run.json", {"last": "epoch-0015"})
    return job_of(plan, trial, seed)


def learned_from(plan: Plan, way: str, rate: str) -> dict[str, tuple[list[str] | None, object]]:
    label_sets = job(plan, way, rate).recipe.loss.label_sets
    return {task: (of_task.annotators, of_task.objective) for task, of_task in label_sets.items()}


def test_it_is_found_by_its_name():
    experiment = EXPERIMENTS.get("noise", "experiment")
    assert experiment.recipe_for(None) == "demo"
    assert experiment.recipe_for(Path("ferplus")) == "noise"


def test_one_store_has_the_annotators_of_all_rates(plan):
    found = with_annotators(plan.recipe, TASKS).prepare.label_noise
    assert sorted(found) == sorted({name for rates in RATES.values() for name in annotators_of(rates)})
    assert len(found) == 12, "those of the mixed rates are among the others"
    assert annotators_of(RATES["mixed"]) == ("flipped_20_1", "flipped_30_2", "flipped_40_3")
    assert found["flipped_30_2"][EXPRESSION].model_dump() == {"kind": "symmetric", "rate": 0.3, "any_class": False}
    assert found["flipped_30_2"][VALENCE_AROUSAL].model_dump() == {"kind": "outlier", "rate": 0.3}
    assert all(
        of_spaces.keys() == {EXPRESSION}
        for of_spaces in with_annotators(plan.recipe, [EXPRESSION]).prepare.label_noise.values()
    )


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_learns_from_its_annotators_alone(plan, way, rate):
    found = learned_from(plan, way, rate)
    assert found.keys() == set(TASKS), "a task without label sets learns from the labels without noise"
    known = annotators_of(RATES[rate])
    for annotators, _ in found.values():
        assert annotators in (list(known), [known[0]])


def test_ways_have_their_objectives(plan):
    three = list(annotators_of(RATES["0.3"]))
    assert learned_from(plan, "one", "0.3") == dict.fromkeys(TASKS, (three[:1], "first"))
    assert learned_from(plan, "sum", "0.3") == dict.fromkeys(TASKS, (three, "sum"))
    assert learned_from(plan, "vote", "0.3") == dict.fromkeys(TASKS, (three, "vote"))
    assert learned_from(plan, "transition", "0.3") == {
        EXPRESSION: (three, "transition"),
        VALENCE_AROUSAL: (three, "gaussian"),
    }
    matched = job(plan, "adversarial", "0.3").recipe.objectives["joint_matching"]
    assert matched["image_size"] == 32
    assert not job(plan, "sum", "0.3").recipe.objectives
    own = change_recipe(plan.recipe, {"objectives": {"joint_matching": {"width": 8}}}, "a test")
    assert job(replace(plan, recipe=own), "adversarial", "0.3").recipe.objectives["joint_matching"] == {"width": 8}
    assert not job(replace(plan, recipe=own), "sum", "0.3").recipe.objectives


def test_a_network_of_each_annotator_teaches_by_soft_labels_alone(plan):
    student = job(plan, "ensemble", "mixed", seed=2)
    runs = [plan.out / "runs" / f"{name}-2" for name in annotators_of(RATES["mixed"])]
    assert student.teachers == tuple(f"{run}/epoch-0015" for run in runs)
    assert student.recipe.loss.hard_weight == 0
    members = trial_of("ensemble", "mixed").teachers
    assert [member.annotators for member in members] == [(name,) for name in annotators_of(RATES["mixed"])]
    seeds = [job_of(plan, trial, 2).recipe.seed for trial in (*members, trial_of("ensemble", "mixed"))]
    assert len(set(seeds)) == 4, "even members of the same labels differ"


def test_what_is_the_same_is_trained_once():
    assert trial_of("one", "mixed") == trial_of("one", "0.2")
    assert trial_of("ensemble", "0.3").teachers[0] == trial_of("one", "0.3")
    assert trial_of("ensemble", "mixed").teachers[2] == trial_of("ensemble", "0.4").teachers[2]
    # where all labels agree, their sum and their majority are one annotator's
    assert trial_of("sum", "0") == trial_of("vote", "0") == trial_of("one", "0")
    assert trial_of("transition", "0") != trial_of("one", "0")


def test_nothing_is_chosen_on_validation(plan):
    strong = replace(plan, recipe=load_recipe("strong", ["train.epochs=7", "train.patience=2"]))
    recipe = job(strong, "vote", "0.3").recipe
    assert recipe.train.patience == recipe.train.epochs == 7
    assert recipe.optim.average is None


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three annotators of all rows, who agree with nobody."""
    path, rows = make_store(tmp_path_factory.mktemp("annotated") / "store").path, np.arange(25)
    for place, name in enumerate(annotators_of(RATES["0.3"])):
        rng = np.random.default_rng(place)
        set_labels(path, EXPRESSION, name, rows, np.eye(7, dtype=np.float32)[rng.integers(0, 7, 25)])
        set_labels(path, VALENCE_AROUSAL, name, rows, rng.uniform(-1, 1, (25, 2)))
    return path


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("way", WAYS)
def test_every_way_can_be_trained(store, tmp_path, way):
    recipe = changed(
        training_recipe("sampling.sets=[mixed_expr, mixed_va]"), WAYS[way], annotators_of(RATES["0.3"]), TASKS
    )
    teachers = [make_checkpoint(tmp_path / str(k), seed=k) for k in range(3)] if WAYS[way].ensemble else []
    stage, learner = learner_of(store, recipe, tuple(map(str, teachers)))
    before = [p.clone() for p in learner.network.parameters()]
    loss, _ = learner.step(next(iter(stage.batches(0, World()))), True, 1)
    assert torch.stack([loss.total, *loss.terms.values()]).isfinite().all()
    assert any(not torch.equal(p, b) for p, b in zip(learner.network.parameters(), before, strict=True))
    assert any(name.startswith("joint_matching") for _, name in loss.terms) == WAYS[way].matching


def result(accuracy: float, macro_f1: float) -> dict:
    return {"scores": {"accuracy": accuracy, "macro F1": macro_f1}, "run": "runs/x", "seconds": 10.0}


def test_the_table_says_which_share_of_the_lost_accuracy_is_won_back(plan):
    real = replace(plan, data=Path("/data/ferplus"), size=None, seeds=2)
    assert tasks_of(real) == (EXPRESSION,)
    found = {
        ("0", "one"): [result(0.62, 0.41), result(0.632, 0.414)],
        ("0", "sum"): [result(0.62, 0.41), result(0.632, 0.414)],
        ("0.3", "one"): [result(0.56, 0.36), result(0.564, 0.366)],
        ("0.3", "sum"): [result(0.61, 0.39), result(0.612, 0.396)],
        ("0.3", "vote"): [result(0.55, 0.39), result(0.55, 0.396)],
    }
    table = comparison(real, found)
    assert "SYNTHETIC" not in table.title
    assert "SYNTHETIC" in comparison(plan, {}).title
    assert [row[0] for row in table.rows] == ["0", "0", "0.3", "0.3", "0.3"]
    assert table.columns[2:4] == ["accuracy", "macro F1"]
    won = [row["won_back"] for row in table.values["rows"]]
    assert won == [None, None, None, pytest.approx((0.611 - 0.562) / (0.626 - 0.562)), pytest.approx(-0.1875)]
    assert [row[-2] for row in table.rows] == ["", "", "", "77%", "-19%"]
    assert table.rows[2][2] == "0.562 ± 0.003"
    # no row of labels without noise: nothing can be said
    without = comparison(real, {key: rows for key, rows in found.items() if key[0] != "0"})
    assert all(row["won_back"] is None for row in without.values["rows"])
