"""Generations as they are trained: side by side, from soft labels that are stored once, and again where one is gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from test_command import results
from test_loop import run, with_changes

from abaw_ray.augmentation import fixed_uniforms, random_views
from abaw_ray.blocks.reader import Store
from abaw_ray.blocks.teacher_outputs import TeacherOutputs
from abaw_ray.check import check_place
from abaw_ray.config import Recipe, dump_recipe
from abaw_ray.generations.plan import Plan
from abaw_ray.generations.run import run_generations
from abaw_ray.models import checkpoint
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources


@pytest.fixture(scope="module")
def soft_recipe(recipe: Recipe) -> Recipe:
    """One epoch of two views, from soft labels alone."""
    return with_changes(
        recipe, train={"epochs": 1}, augment={"views": 2}, loss={"hard_weight": 0.0, "temperature": 1.0}
    )


def written(out: Path) -> dict[str, bytes]:
    """Weights, soft labels and tables."""
    files = [*out.rglob("model.safetensors"), *out.rglob("*.arrow"), *out.glob("generations.*")]
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


@pytest.mark.slow
def test_a_member_that_is_dropped_comes_out_as_it_was(cluster, store, soft_recipe, tmp_path):
    """Members run two at a time, and the dropped one alone."""
    plan = Plan(tmp_path / "out", (Job(soft_recipe, str(store), ""),), 2, 2, 2, Resources(1))
    values = run_generations(plan)
    assert [len(generation["members"]) for generation in values["generations"]] == [2, 2]
    before = written(plan.out)
    weights = {name: content for name, content in before.items() if name.endswith("safetensors")}
    assert len(weights) == len(set(weights.values())) == 4, "every member is one of its own"
    (outputs,) = (plan.out / "generation-0").glob("soft-labels-*")
    assert not list((plan.out / "generation-1").glob("soft-labels-*")), "nobody learns from the last"
    for member in range(2):
        student = json.loads((plan.run(1, member) / "job.json").read_text())
        assert student["teachers"] == [str(plan.run(0, teacher)) for teacher in range(2)]
        assert student["teacher_outputs"] == str(outputs)
    assert (check_place(plan.out).ok, check_place(plan.out).kind) == (True, "generations")
    check_mean(plan, Store(store), TeacherOutputs(outputs, Store(store)))

    others = {path: path.stat().st_mtime_ns for path in plan.out.rglob("run.json") if path.parent != plan.run(0, 1)}
    damaged = min(outputs.rglob("*.arrow"))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert [finding.path for finding in check_place(plan.out).findings] == [str(damaged)]
    shutil.rmtree(plan.run(0, 1))
    shutil.rmtree(outputs)
    run_generations(plan)
    assert {path: path.stat().st_mtime_ns for path in others} == others, "what was finished is not trained again"
    assert written(plan.out) == before


def check_mean(plan: Plan, store: Store, outputs: TeacherOutputs) -> None:
    """Soft labels are the mean of the members' probabilities, for images of every training set and for every task."""
    augment = plan.jobs[0].recipe.augment
    for source in store.sets.values():
        rows = source.rows[:5]
        views = np.arange(len(rows)) % 2
        uniforms = torch.from_numpy(fixed_uniforms(store.image_ids(rows), views, augment.views_seed))
        images = random_views(torch.from_numpy(store.images(rows)), uniforms, augment)
        said = []
        for member in range(2):
            trained = checkpoint.load(plan.run(0, member))
            with torch.inference_mode():
                said.append(trained.network(torch.device("cpu"))(images))
        known, tasks = outputs.read(rows, views), trained.tasks(trained.recipe)
        assert known.keys() == tasks.keys()
        for name, task in tasks.items():
            mean = torch.stack([task.distributions(logits[name], 1.0).p for logits in said]).mean(0)
            found = task.distributions(torch.from_numpy(known[name]), 1.0).p
            np.testing.assert_allclose(found, mean, atol=1e-4)


@pytest.mark.slow
def test_generations_of_temporal_networks(store, soft_recipe, tmp_path):
    run(Job(soft_recipe, str(store), str(tmp_path / "cnn")), tmp_path)
    (tmp_path / "small.yaml").write_text(dump_recipe(soft_recipe))
    out = tmp_path / "out"
    common = ["--store", store, "--recipe", tmp_path / "small.yaml", "--temporal", "--cnn", tmp_path / "0"]
    counts = ["--members", "2", "--generations", "2", "--keep", "1"]
    values = results("generations", *common, *counts, "--out", out)
    assert [len(generation["kept"]) for generation in values["generations"]] == [1, 1]
    (kept,) = values["generations"][0]["kept"]
    for member in range(2):
        student = out / "generation-1" / f"member-{member}"
        described = checkpoint.load(student).description
        assert (described.kind, described.role) == ("temporal", "student")
        job = json.loads((student / "job.json").read_text())
        assert job["teachers"] == [str(out / "generation-0" / f"member-{kept}")]
        assert job["teacher_outputs"].startswith(str(out / "generation-0" / "soft-labels-"))
    criteria = [member["criterion"] for member in values["generations"][0]["members"]]
    assert criteria[kept] == max(criteria)
    assert json.loads((out / "generations.json").read_text()) == values
